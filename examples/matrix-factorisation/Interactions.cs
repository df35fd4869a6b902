using Aisle.Training.Data;

namespace Aisle.Examples.MatrixFactorisation;

/// <summary>
/// Who used what, made with a structure to find: users and items belong to groups, four of five interactions stay within the group, and some items are
/// popular with everyone. Each user's last interaction is held out.
/// </summary>
internal sealed class Interactions
{
    private const int Groups = 8, PerUser = 20, Rivals = 99;
    private const ulong Seed = 2026;
    private readonly int[] _items;
    private readonly int[] _popularity;

    public Interactions(int users, int items)
    {
        (Users, Items) = (users, items);
        _items = new int[users * PerUser];
        _popularity = new int[items];
        for (var user = 0; user < users; user++)
        {
            var chance = new Chance(Seed, (ulong)user);
            for (var i = 0; i < PerUser; i++)
            {
                // The smaller of two draws: low numbers are popular.
                var place = Math.Min(chance.Below(items / Groups), chance.Below(items / Groups));
                var group = chance.Below(5) < 4 ? user % Groups : chance.Below(Groups);
                var item = place * Groups + group;
                _items[user * PerUser + i] = item;
                if (i < PerUser - 1) _popularity[item]++;
            }
        }
    }

    public int Users { get; }

    public int Items { get; }

    /// <summary>Interactions to learn from.</summary>
    public long Count => (long)Users * (PerUser - 1);

    public (int User, int Item) this[long sample]
    {
        get
        {
            var (user, i) = ((int)(sample / (PerUser - 1)), (int)(sample % (PerUser - 1)));
            return (user, _items[user * PerUser + i]);
        }
    }

    public int Popularity(int item) => _popularity[item];

    /// <summary>How often the held-out item is among the ten best of itself and 99 others drawn by chance.</summary>
    public double HitRate(Func<int, int, double> score)
    {
        var hits = 0;
        for (var user = 0; user < Users; user++)
        {
            var chance = new Chance(Seed + 1, (ulong)user);
            var held = _items[user * PerUser + PerUser - 1];
            var mine = score(user, held);
            var better = 0;
            for (var i = 0; i < Rivals; i++)
            {
                var rival = chance.Below(Items);
                if (rival != held && score(user, rival) >= mine) better++;
            }
            if (better < 10) hits++;
        }
        return (double)hits / Users;
    }
}
