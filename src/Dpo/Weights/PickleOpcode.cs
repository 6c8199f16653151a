namespace Dpo.Weights;

/// <summary>The opcodes of Python's pickle format, all of them, so that one which is refused is refused by its name.</summary>
internal enum PickleOpcode : byte
{
    MARK = (byte)'(', STOP = (byte)'.', POP = (byte)'0', POP_MARK = (byte)'1', DUP = (byte)'2', FLOAT = (byte)'F',
    INT = (byte)'I', BININT = (byte)'J', BININT1 = (byte)'K', LONG = (byte)'L', BININT2 = (byte)'M', NONE = (byte)'N',
    PERSID = (byte)'P', BINPERSID = (byte)'Q', REDUCE = (byte)'R', STRING = (byte)'S', BINSTRING = (byte)'T',
    SHORT_BINSTRING = (byte)'U', UNICODE = (byte)'V', BINUNICODE = (byte)'X', APPEND = (byte)'a', BUILD = (byte)'b',
    GLOBAL = (byte)'c', DICT = (byte)'d', APPENDS = (byte)'e', GET = (byte)'g', BINGET = (byte)'h', INST = (byte)'i',
    LONG_BINGET = (byte)'j', LIST = (byte)'l', OBJ = (byte)'o', PUT = (byte)'p', BINPUT = (byte)'q', LONG_BINPUT = (byte)'r',
    SETITEM = (byte)'s', TUPLE = (byte)'t', SETITEMS = (byte)'u', BINFLOAT = (byte)'G', EMPTY_TUPLE = (byte)')',
    EMPTY_LIST = (byte)']', EMPTY_DICT = (byte)'}', BINBYTES = (byte)'B', SHORT_BINBYTES = (byte)'C', PROTO = 0x80, NEWOBJ,
    EXT1, EXT2, EXT4, TUPLE1, TUPLE2, TUPLE3, NEWTRUE, NEWFALSE, LONG1, LONG4, SHORT_BINUNICODE, BINUNICODE8, BINBYTES8,
    EMPTY_SET, ADDITEMS, FROZENSET, NEWOBJ_EX, STACK_GLOBAL, MEMOIZE, FRAME, BYTEARRAY8, NEXT_BUFFER, READONLY_BUFFER,
}
