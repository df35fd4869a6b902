namespace Aisle.Ledger;

/// <summary>Why the ledger refuses or stops. Stable: scripts and pages match on them.</summary>
public static class LedgerCodes
{
    public const string NameMalformed = "AISLE-2001";
    public const string AliasMalformed = "AISLE-2002";
    public const string NameNotFound = "AISLE-2003";
    public const string VersionConflict = "AISLE-2004";
    public const string NotInHistory = "AISLE-2005";
    public const string HistoryFull = "AISLE-2006";
    public const string CommandMalformed = "AISLE-2007";

    public const string JobNotFound = "AISLE-2010";
    public const string JobFinished = "AISLE-2011";
    public const string WorkersOutOfRange = "AISLE-2012";
    public const string PlacementMalformed = "AISLE-2013";
    public const string ProcessReused = "AISLE-2014";
    public const string CheckpointOutOfOrder = "AISLE-2015";
    public const string ResultMalformed = "AISLE-2016";
    public const string CountsDoNotAddUp = "AISLE-2017";

    /// <summary>One identity, two contents: a machine or a program is at fault.</summary>
    public const string Divergence = "AISLE-2020";

    public const string EndpointNotFound = "AISLE-2030";

    /// <summary>The session is not there: it expired, was closed, or never was. The command did not run.</summary>
    public const string SessionExpired = "AISLE-2031";

    /// <summary>A later command of the session was answered before; this one did not run now.</summary>
    public const string SequencePassed = "AISLE-2032";

    /// <summary>As many sessions or leases as the ledger keeps.</summary>
    public const string TooMany = "AISLE-2033";

    public const string LifetimeOutOfRange = "AISLE-2034";

    /// <summary>Somebody else holds the lease.</summary>
    public const string LeaseHeld = "AISLE-2035";

    /// <summary>The fencing number is not the lease's: it expired, was released, or was granted anew.</summary>
    public const string LeaseStale = "AISLE-2036";

    /// <summary>Another process has the ledger's directory.</summary>
    public const string InUse = "AISLE-2050";

    /// <summary>Bytes that had been flushed are not what was written.</summary>
    public const string Damaged = "AISLE-2051";

    /// <summary>A write or flush failed; final for this process.</summary>
    public const string WriteFailed = "AISLE-2052";

    public const string Stopped = "AISLE-2053";
    public const string CommandTooLarge = "AISLE-2054";

    /// <summary>The files are whole, and this program does not know their format.</summary>
    public const string UnknownFormat = "AISLE-2055";

    /// <summary>The directory cannot be read, made or opened.</summary>
    public const string DirectoryUnusable = "AISLE-2056";

    /// <summary>The directory belongs to another member or another cluster.</summary>
    public const string OtherMember = "AISLE-2057";

    /// <summary>Bytes from another member are no message.</summary>
    public const string MessageMalformed = "AISLE-2070";

    /// <summary>Another member speaks a newer version.</summary>
    public const string MessageTooNew = "AISLE-2071";

    /// <summary>What another member says cannot be reconciled with what was agreed; final for this process.</summary>
    public const string Diverged = "AISLE-2072";

    /// <summary>Another member leads: ask that one. Nothing was done.</summary>
    public const string NotLeader = "AISLE-2080";

    /// <summary>No majority of the members can be reached. Nothing was done.</summary>
    public const string NoLeader = "AISLE-2081";

    /// <summary>The leader was lost meanwhile: the command may run or not. Ask again in its session, with its sequence.</summary>
    public const string OutcomeUnknown = "AISLE-2082";

    /// <summary>The leader has too much on hand, or is handing over. Nothing was done.</summary>
    public const string Busy = "AISLE-2083";

    /// <summary>A change of members that cannot be made now, or at all.</summary>
    public const string ChangeRefused = "AISLE-2084";

    /// <summary>Who wants to speak as a member could not show that it is one, or what it sent is no frame.</summary>
    public const string PeerRefused = "AISLE-2085";
}
