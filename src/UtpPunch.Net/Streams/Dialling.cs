using UtpPunch.Protocol;

namespace UtpPunch;

/// <summary>How a stream is opened.</summary>
internal readonly record struct Dialling(Dialect Dialect, TimeSpan Timeout, UtpCongestionControl CongestionControl);
