using System.Collections.Concurrent;
using System.Threading.Channels;
using Aisle.Ledger.Consensus;

namespace Aisle.Ledger.Transport;

/// <summary>Members of one process. Ways can be cut, one direction at a time.</summary>
internal sealed class InProcessNetwork
{
    private readonly ConcurrentDictionary<MemberId, InProcessPeers> _members = [];
    private readonly ConcurrentDictionary<(MemberId From, MemberId To), bool> _cut = [];

    public IPeers Join(MemberId member) => _members[member] = new InProcessPeers(this, member);

    public void Cut(ulong from, ulong to) => _cut[(new(from), new(to))] = true;

    public void Heal() => _cut.Clear();

    private void Leave(MemberId member, InProcessPeers peers) => _members.TryRemove(KeyValuePair.Create(member, peers));

    private sealed class InProcessPeers(InProcessNetwork network, MemberId self) : IPeers
    {
        private readonly Channel<Message> _arriving = Channel.CreateBounded<Message>(1024);   // full: the sender's is lost
        private Task _reading = Task.CompletedTask;

        public void Start(IPeerListener listener) => _reading = Task.Run(async () =>
        {
            await foreach (var message in _arriving.Reader.ReadAllAsync().ConfigureAwait(false)) await listener.ReceiveAsync(message, CancellationToken.None).ConfigureAwait(false);
        });

        public void Send(Message message)
        {
            if (!network._cut.ContainsKey((self, message.To)) && network._members.TryGetValue(message.To, out var to)) to._arriving.Writer.TryWrite(message);
        }

        public async ValueTask DisposeAsync()
        {
            network.Leave(self, this);
            _arriving.Writer.TryComplete();
            await _reading.ConfigureAwait(false);
        }
    }
}
