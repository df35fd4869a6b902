using System.Runtime.InteropServices;
using Aisle.Training.Collectives;

namespace Aisle.Training.Tests.Collectives;

/// <summary>The double of NCCL and CUDA, compiled when it is first wanted, and what steers it. One test at a time.</summary>
public sealed class NcclDoubleFixture : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("aisle-nccl-double-").FullName;
    private NcclDouble? _double;

    internal NcclDouble Double => _double ??= new NcclDouble(_folder);

    public void Dispose() => Directory.Delete(_folder, recursive: true);
}

/// <inheritdoc cref="NcclDoubleFixture"/>
internal sealed unsafe class NcclDouble
{
    private readonly delegate* unmanaged<byte*, int, int, void> _fail;
    private readonly delegate* unmanaged<int, int, void> _stick;
    private readonly delegate* unmanaged<int> _live;

    public NcclDouble(string folder)
    {
        Path = CompiledLibrary.Make(folder, "nccl_double", File.ReadAllText(System.IO.Path.Combine(AppContext.BaseDirectory, "nccl_double.c")));
        var library = NativeLibrary.Load(Path);
        _fail = (delegate* unmanaged<byte*, int, int, void>)NativeLibrary.GetExport(library, "double_fail");
        _stick = (delegate* unmanaged<int, int, void>)NativeLibrary.GetExport(library, "double_stick");
        _live = (delegate* unmanaged<int>)NativeLibrary.GetExport(library, "double_live");
    }

    public string Path { get; }

    /// <summary>Worlds, streams and memory that nobody gave back.</summary>
    public int Live => _live();

    /// <summary>Makes one call of a function fail, after some that do not.</summary>
    public void Fail(string function, int code, int after = 0)
    {
        var name = Marshal.StringToCoTaskMemUTF8(function);
        _fail((byte*)name, code, after);
        Marshal.FreeCoTaskMem(name);
    }

    /// <param name="error">What NCCL finds out meanwhile; 0 for nothing.</param>
    public void Stick(bool stuck, int error = 0) => _stick(stuck ? 1 : 0, error);

    public IGradientSum Open(GradientShape shape, NcclPlace place) => new CollectiveSum(new NcclCollective(new Nccl(Path), new Cuda(Path), place, TimeProvider.System), shape);
}
