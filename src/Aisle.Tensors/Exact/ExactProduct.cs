using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Aisle.Tensors;

/// <summary>What the elements of a right matrix are in memory, and what becomes of them before they are multiplied.</summary>
internal enum MatrixElement
{
    Float32,

    /// <summary>float32, each rounded to bfloat16.</summary>
    Float32AsBFloat16,

    /// <summary>bfloat16, each widened.</summary>
    BFloat16,
}

/// <summary>A matrix in memory: element (i, j) at <c>Data[i · RowStride + j · ColumnStride]</c>, one of the strides being 1.</summary>
internal readonly unsafe record struct Matrix(nint Address, int RowStride, int ColumnStride, MatrixElement Element = MatrixElement.Float32)
{
    public Matrix(float* data, int rowStride)
        : this((nint)data, rowStride, 1)
    {
    }

    public float* Data => (float*)Address;

    public Matrix Transposed => new(Address, ColumnStride, RowStride, Element);
}

/// <summary>Which part of a square product is known to be empty, so that a causal attention's half is not computed.</summary>
internal enum Triangle
{
    None,

    /// <summary>The result above the diagonal is not wanted; what is left there is unspecified.</summary>
    LowerResult,

    /// <summary>The left matrix is zero above its diagonal.</summary>
    LowerLeft,

    /// <summary>The left matrix is zero below its diagonal.</summary>
    UpperLeft,
}

/// <summary>
/// Matrix products with the same bits on every processor: each element is a chain of fused multiply-adds over the inner index, from first to last, whatever
/// the width of the vectors. Not thread-safe (it owns scratch memory).
/// </summary>
/// <remarks>Tiles of 8 × 32 held in registers over packed panels, after Goto and van de Geijn 2008, "Anatomy of high-performance matrix multiplication".</remarks>
internal sealed unsafe class ExactProduct : IDisposable
{
    private const int Rows = 8;
    private const int Columns = 32;
    private const int Depth = 256;   // of a panel: 32 KiB, so that it stays in the first cache
    private float* _right = NativeFloats.Allocate(Depth * Columns);
    private float* _tile = NativeFloats.Allocate(Rows * Columns);
    private float* _left = NativeFloats.Allocate(Rows * Depth);
    private int _leftLength = Rows * Depth;

    /// <summary>result = left · right, or result += left · right.</summary>
    /// <param name="rows">Of the result and of <paramref name="left"/>.</param>
    /// <param name="columns">Of the result and of <paramref name="right"/>.</param>
    /// <param name="depth">Of the sum.</param>
    public void Multiply(int rows, int columns, int depth, Matrix left, Matrix right, float* result, int resultStride, bool add = false, Triangle triangle = Triangle.None)
    {
        for (var start = 0; start < depth; start += Depth)
        {
            var count = Math.Min(Depth, depth - start);
            var adds = add || start > 0;
            var (panels, rowStride, depthStride) = LeftPanels(left, rows, start, count);
            for (var column = 0; column < columns; column += Columns)
            {
                PackRight(right, start, count, column, Math.Min(Columns, columns - column));
                for (var row = 0; row < rows; row += Rows)
                {
                    if (triangle == Triangle.LowerResult && column > row + Rows - 1) continue;
                    // Zeros of a triangle are left out of the chain, which changes nothing: adding a product of zero keeps the sum.
                    var from = triangle == Triangle.UpperLeft ? Math.Clamp(row - start, 0, count) : 0;
                    var to = triangle == Triangle.LowerLeft ? Math.Clamp(row + Rows - start, 0, count) : count;
                    var whole = rows - row >= Rows;
                    var panel = (float*)panels + (long)row / Rows * (depthStride == 1 ? (long)Rows * rowStride : (long)count * Rows);
                    var (panelRowStride, panelDepthStride) = (rowStride, depthStride);
                    if (!whole && depthStride == 1)
                    {
                        panel = PackLastRows(left, row, rows - row, start, count);
                        (panelRowStride, panelDepthStride) = (1, Rows);
                    }

                    var target = result + (long)row * resultStride + column;
                    var first = panel + (long)from * panelDepthStride;
                    if (whole && columns - column >= Columns) Tile(first, panelRowStride, panelDepthStride, _right + from * Columns, to - from, target, resultStride, adds);
                    else EdgeTile(first, panelRowStride, panelDepthStride, from, to - from, target, resultStride, adds, Math.Min(Rows, rows - row), Math.Min(Columns, columns - column));
                }
            }
        }
    }

    // A left matrix with rows in memory is read where it lies; a transposed one is packed, because its rows would be scattered over the cache.
    private (nint Panels, int RowStride, int DepthStride) LeftPanels(Matrix left, int rows, int start, int count)
    {
        if (left.ColumnStride == 1)
        {
            Reserve(Rows * Depth);
            return ((nint)(left.Data + start), left.RowStride, 1);
        }

        Reserve((rows + Rows - 1) / Rows * Rows * count);
        var target = _left;
        for (var row = 0; row < rows; row += Rows)
        {
            var whole = rows - row >= Rows;
            for (var p = 0; p < count; p++, target += Rows)
            {
                var source = left.Data + row + (long)(start + p) * left.ColumnStride;
                if (whole)
                {
                    Vector256.Load(source).Store(target);
                    continue;
                }

                for (var r = 0; r < Rows; r++) target[r] = row + r < rows ? source[r] : 0;
            }
        }

        return ((nint)_left, 1, Rows);
    }

    private float* PackLastRows(Matrix left, int row, int rows, int start, int count)
    {
        for (var p = 0; p < count; p++)
        {
            for (var r = 0; r < Rows; r++) _left[p * Rows + r] = r < rows ? left.Data[(long)(row + r) * left.RowStride + start + p] : 0;
        }

        return _left;
    }

    private void PackRight(Matrix right, int start, int count, int column, int columns)
    {
        var target = _right;
        if (columns < Columns) new Span<float>(target, count * Columns).Clear();
        if (right.Element == MatrixElement.BFloat16)
        {
            PackWidened(right, start, count, column, columns);
            return;
        }

        if (right.ColumnStride == 1)
        {
            for (var p = 0; p < count; p++, target += Columns)
            {
                var source = right.Data + (long)(start + p) * right.RowStride + column;
                if (columns == Columns)
                {
                    Vector512.Load(source).Store(target);
                    Vector512.Load(source + 16).Store(target + 16);
                }
                else
                {
                    for (var c = 0; c < columns; c++) target[c] = source[c];
                }
            }
        }
        else
        {
            for (var c = 0; c < columns; c++)
            {
                var source = right.Data + (long)(column + c) * right.ColumnStride + start;
                for (var p = 0; p < count; p++) target[p * Columns + c] = source[p];
            }
        }

        if (right.Element == MatrixElement.Float32AsBFloat16) ExactKernels.RoundToBFloat16(_right, count * Columns, _right);
    }

    private void PackWidened(Matrix right, int start, int count, int column, int columns)
    {
        var elements = (ushort*)right.Address;
        if (right.ColumnStride != 1)
        {
            for (var c = 0; c < columns; c++)
            {
                var source = elements + (long)(column + c) * right.ColumnStride + start;
                for (var p = 0; p < count; p++) _right[p * Columns + c] = BFloat16.Widen(source[p]);
            }

            return;
        }

        for (var p = 0; p < count; p++)
        {
            var source = elements + (long)(start + p) * right.RowStride + column;
            var target = _right + p * Columns;
            var c = 0;
            for (; c + 16 <= columns; c += 16) (Vector512.WidenLower(Vector256.Load(source + c).ToVector512()) << 16).AsSingle().Store(target + c);
            for (; c < columns; c++) target[c] = BFloat16.Widen(source[c]);
        }
    }

    private void EdgeTile(float* left, int rowStride, int depthStride, int from, int depth, float* result, int stride, bool add, int rows, int columns)
    {
        var tile = _tile;
        if (add)
        {
            new Span<float>(tile, Rows * Columns).Clear();
            for (var r = 0; r < rows; r++) new Span<float>(result + (long)r * stride, columns).CopyTo(new Span<float>(tile + r * Columns, columns));
        }

        Tile(left, rowStride, depthStride, _right + from * Columns, depth, tile, Columns, add);
        for (var r = 0; r < rows; r++) new Span<float>(tile + r * Columns, columns).CopyTo(new Span<float>(result + (long)r * stride, columns));
    }

    private static void Tile(float* left, int rowStride, int depthStride, float* right, int depth, float* result, int stride, bool add)
    {
        if (Vector512.IsHardwareAccelerated)
        {
            Tile512(left, rowStride, depthStride, right, depth, result, stride, add);
            return;
        }

        // 16 registers hold a quarter of the tile.
        for (var r = 0; r < Rows; r += 4)
        {
            for (var c = 0; c < Columns; c += 16)
                Tile256(left + (long)r * rowStride, rowStride, depthStride, right + c, depth, result + (long)r * stride + c, stride, add);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Tile512(float* left, int rowStride, int depthStride, float* right, int depth, float* result, int stride, bool add)
    {
        Vector512<float> a0 = default, a1 = default, a2 = default, a3 = default, a4 = default, a5 = default, a6 = default, a7 = default;
        Vector512<float> b0 = default, b1 = default, b2 = default, b3 = default, b4 = default, b5 = default, b6 = default, b7 = default;
        var c = result;
        if (add)
        {
            (a0, b0) = (Vector512.Load(c), Vector512.Load(c + 16));
            (a1, b1) = (Vector512.Load(c += stride), Vector512.Load(c + 16));
            (a2, b2) = (Vector512.Load(c += stride), Vector512.Load(c + 16));
            (a3, b3) = (Vector512.Load(c += stride), Vector512.Load(c + 16));
            (a4, b4) = (Vector512.Load(c += stride), Vector512.Load(c + 16));
            (a5, b5) = (Vector512.Load(c += stride), Vector512.Load(c + 16));
            (a6, b6) = (Vector512.Load(c += stride), Vector512.Load(c + 16));
            (a7, b7) = (Vector512.Load(c += stride), Vector512.Load(c + 16));
        }

        for (var p = 0; p < depth; p++, right += Columns, left += depthStride)
        {
            var x = Vector512.Load(right);
            var y = Vector512.Load(right + 16);
            var t = Vector512.Create(left[0]);
            (a0, b0) = (Vector512.FusedMultiplyAdd(t, x, a0), Vector512.FusedMultiplyAdd(t, y, b0));
            t = Vector512.Create(left[rowStride]);
            (a1, b1) = (Vector512.FusedMultiplyAdd(t, x, a1), Vector512.FusedMultiplyAdd(t, y, b1));
            t = Vector512.Create(left[2 * rowStride]);
            (a2, b2) = (Vector512.FusedMultiplyAdd(t, x, a2), Vector512.FusedMultiplyAdd(t, y, b2));
            t = Vector512.Create(left[3 * rowStride]);
            (a3, b3) = (Vector512.FusedMultiplyAdd(t, x, a3), Vector512.FusedMultiplyAdd(t, y, b3));
            t = Vector512.Create(left[4 * rowStride]);
            (a4, b4) = (Vector512.FusedMultiplyAdd(t, x, a4), Vector512.FusedMultiplyAdd(t, y, b4));
            t = Vector512.Create(left[5 * rowStride]);
            (a5, b5) = (Vector512.FusedMultiplyAdd(t, x, a5), Vector512.FusedMultiplyAdd(t, y, b5));
            t = Vector512.Create(left[6 * rowStride]);
            (a6, b6) = (Vector512.FusedMultiplyAdd(t, x, a6), Vector512.FusedMultiplyAdd(t, y, b6));
            t = Vector512.Create(left[7 * rowStride]);
            (a7, b7) = (Vector512.FusedMultiplyAdd(t, x, a7), Vector512.FusedMultiplyAdd(t, y, b7));
        }

        c = result;
        a0.Store(c);
        b0.Store(c + 16);
        a1.Store(c += stride);
        b1.Store(c + 16);
        a2.Store(c += stride);
        b2.Store(c + 16);
        a3.Store(c += stride);
        b3.Store(c + 16);
        a4.Store(c += stride);
        b4.Store(c + 16);
        a5.Store(c += stride);
        b5.Store(c + 16);
        a6.Store(c += stride);
        b6.Store(c + 16);
        a7.Store(c += stride);
        b7.Store(c + 16);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Tile256(float* left, int rowStride, int depthStride, float* right, int depth, float* result, int stride, bool add)
    {
        Vector256<float> a0 = default, a1 = default, a2 = default, a3 = default, b0 = default, b1 = default, b2 = default, b3 = default;
        var c = result;
        if (add)
        {
            (a0, b0) = (Vector256.Load(c), Vector256.Load(c + 8));
            (a1, b1) = (Vector256.Load(c += stride), Vector256.Load(c + 8));
            (a2, b2) = (Vector256.Load(c += stride), Vector256.Load(c + 8));
            (a3, b3) = (Vector256.Load(c += stride), Vector256.Load(c + 8));
        }

        for (var p = 0; p < depth; p++, right += Columns, left += depthStride)
        {
            var x = Vector256.Load(right);
            var y = Vector256.Load(right + 8);
            var t = Vector256.Create(left[0]);
            (a0, b0) = (Vector256.FusedMultiplyAdd(t, x, a0), Vector256.FusedMultiplyAdd(t, y, b0));
            t = Vector256.Create(left[rowStride]);
            (a1, b1) = (Vector256.FusedMultiplyAdd(t, x, a1), Vector256.FusedMultiplyAdd(t, y, b1));
            t = Vector256.Create(left[2 * rowStride]);
            (a2, b2) = (Vector256.FusedMultiplyAdd(t, x, a2), Vector256.FusedMultiplyAdd(t, y, b2));
            t = Vector256.Create(left[3 * rowStride]);
            (a3, b3) = (Vector256.FusedMultiplyAdd(t, x, a3), Vector256.FusedMultiplyAdd(t, y, b3));
        }

        c = result;
        a0.Store(c);
        b0.Store(c + 8);
        a1.Store(c += stride);
        b1.Store(c + 8);
        a2.Store(c += stride);
        b2.Store(c + 8);
        a3.Store(c += stride);
        b3.Store(c + 8);
    }

    public void Dispose()
    {
        if (_right is null) return;
        NativeFloats.Free(_right, Depth * Columns);
        NativeFloats.Free(_tile, Rows * Columns);
        NativeFloats.Free(_left, _leftLength);
        _right = _tile = _left = null;
    }

    private void Reserve(int length)
    {
        if (length <= _leftLength) return;
        NativeFloats.Free(_left, _leftLength);
        _left = NativeFloats.Allocate(length);
        _leftLength = length;
    }
}
