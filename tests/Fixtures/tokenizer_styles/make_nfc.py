"""Made with: python3 make_nfc.py > nfc_cases.json (Python's unicodedata): texts and their normalization form C."""
import json, random, unicodedata as u
random.seed(11)
inter=[c for c in map(chr,range(0x110000)) if not 0xD800<=ord(c)<=0xDFFF and (u.combining(c) or (u.decomposition(c) and not u.decomposition(c).startswith('<')))]
marks=[c for c in inter if u.combining(c)]
jamo=[chr(c) for c in [*range(0x1100,0x1113),*range(0x1161,0x1176),*range(0x11A7,0x11C3),0xAC00,0xAC01,0xD7A3,0xD788,0x1113,0x1176,0x11C3,0x11A7]]
starters=list("aeAouyKq ")+["\u0915","\u09c7","\u0bc6","\u1025","\U00011099","\u0395","\u05d0"]
texts=[]
for _ in range(400):
    pool=random.choice([inter,marks,jamo,starters])
    texts.append("".join(random.choice(random.choice([inter,marks,jamo,starters,marks,pool])) for _ in range(random.randint(1,9))))
print('{"unicode": "%s",\n"cases": [\n%s\n]}'%(u.unidata_version,",\n".join(json.dumps([t,u.normalize('NFC',t)]) for t in texts)))
