"""torchrun as it is, but for one thing: on Python 3.11 PyTorch 1.13 finds no `Std` for its own default "0", because a flag's zero is not iterated over any more."""
from torch.distributed.elastic.multiprocessing import Std
from torch.distributed.run import main

Std.from_str = classmethod(lambda cls, text: Std(int(text)))
main()
