using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>How a stream is opened. <c>PrimingHops</c> is the hop limit of the first SYN if the peer opens one at the same time; otherwise 0.</summary>
internal readonly record struct Dialling(Dialect Dialect, TimeSpan Timeout, UtpCongestionControl CongestionControl, int PrimingHops = 0);
