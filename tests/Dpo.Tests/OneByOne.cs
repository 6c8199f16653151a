// TorchSharp hands a scalar operand (`x * 0.5`, and the 1 in `x + y`) to native code without holding on to it, so that a garbage
// collection which another thread starts in the middle of the call may free it first: a wrong number or an error, about once in
// 30,000 operations beside a thread that does nothing but collect, never so far on a single thread.
[assembly: CollectionBehavior(DisableTestParallelization = true)]
