using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>The slabs that were received for one step.</summary>
internal sealed class SlabList : List<Slab>
{
    /// <summary>The one in which a payload lies; <see langword="null"/> if it lies in no slab.</summary>
    public Slab? Find(Payload payload)
    {
        foreach (var slab in this)
        {
            if (ReferenceEquals(slab.Bytes, payload.Buffer))
            {
                return slab;
            }
        }

        return null;
    }

    /// <summary>Those that no reader has kept are free again.</summary>
    public void Release()
    {
        foreach (var slab in this)
        {
            slab.Release();
        }

        Clear();
    }
}
