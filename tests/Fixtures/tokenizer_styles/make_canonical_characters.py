"""Makes src/Dpo/Tokenization/CanonicalCharacters.txt from Python's copy of the Unicode Character Database."""
import unicodedata as u
lines=[]
for cp in range(0x110000):
    if 0xAC00<=cp<=0xD7A3 or 0xD800<=cp<=0xDFFF: continue
    c=chr(cp); d=u.decomposition(c)
    if d and not d.startswith('<'):
        parts=[int(x,16) for x in d.split()]
        comp = len(parts)==2 and u.normalize('NFC',chr(parts[0])+chr(parts[1]))==c
        lines.append('%04X %s %s'%(cp,'=' if comp else '>',' '.join('%04X'%p for p in parts)))
start=None
runs=[]
for cp in range(0x110001):
    k=u.combining(chr(cp)) if cp<0x110000 else 0
    if runs and runs[-1][1]==cp-1 and runs[-1][2]==k: runs[-1][1]=cp
    else: runs.append([cp,cp,k])
for a,b,k in runs:
    if k: lines.append('%04X..%04X %d'%(a,b,k))
head=['# Canonical decompositions and combining classes of Unicode %s (the Unicode Character Database, https://www.unicode.org/ucd/),'%u.unidata_version,
'# Hangul syllables left out. "C = A B": C decomposes into A B, and they compose to C again; "C > A": C only decomposes;',
'# "A..B n": the characters from A to B have the canonical combining class n.']
open('/dev/stdout','w').write('\n'.join(head+lines)+'\n')
