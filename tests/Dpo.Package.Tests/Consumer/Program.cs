using Dpo;
using TorchSharp;

var example = new PreferenceExample("The film was", " a delight.", " a bore.");
var pair = example.Pairs[0];

using var rewards = torch.tensor(new[] { 0.5, -1.5 });
using var margin = rewards[pair.Chosen] - rewards[pair.Rejected];
using var loss = -torch.nn.functional.logsigmoid(margin);

Console.WriteLine($"margin {margin.item<double>():F6}");
Console.WriteLine($"loss {loss.item<double>():F6}");
