namespace UtpPunch.Sim.Congestion

open UtpPunch.Protocol

/// CUBIC (RFC 9438) as most systems run it: with fast convergence, and a slow start that ends when round trips become longer (RFC 9406, without the
/// conservative rounds).
[<Sealed>]
type CubicModel() =
    let c = 0.4
    let beta = 0.7
    let mutable window = 10.0
    let mutable threshold = infinity
    let mutable most = 0.0
    let mutable epoch = Time.never
    let mutable k = 0.0
    /// W_est, the window that Reno would have.
    let mutable reno = 0.0
    let mutable least = Time.never
    // RFC 9406: the least round trip of this round and of the last one.
    let mutable roundEnds = 0L
    let mutable leastNow = Time.never
    let mutable leastBefore = Time.never
    let mutable samples = 0

    /// By Newton's method, since the last digits of a library's cube root differ between systems.
    let cubeRoot (value: float) =
        if value <= 0.0 then
            0.0
        else
            let mutable root = max 1.0 (value / 3.0)

            for _ in 1..60 do
                root <- (2.0 * root + value / (root * root)) / 3.0

            root

    let slowStart (sample: ModelSample) =
        window <- window + float sample.Packets

        if sample.PriorDelivered >= roundEnds then
            roundEnds <- sample.Delivered
            leastBefore <- leastNow
            leastNow <- Time.never
            samples <- 0

        samples <- samples + 1
        leastNow <- min leastNow sample.RoundTrip

        if samples >= 8 && leastBefore <> Time.never then
            let margin = leastBefore / 8L |> max (Time.milliseconds 4) |> min (Time.milliseconds 16)
            if leastNow >= leastBefore + margin then threshold <- window

    let avoid (sample: ModelSample) =
        if epoch = Time.never then
            epoch <- sample.Now
            reno <- window

            if window < most then
                k <- cubeRoot ((most - window) / c)
            else
                k <- 0.0
                most <- window

        let seconds = float (sample.Now - epoch + least) / 1e6
        let target = c * (seconds - k) * (seconds - k) * (seconds - k) + most
        let acked = float sample.Packets
        // RFC 9438, 4.3: alpha is 1 once Reno would have the window of before the loss.
        let alpha = if reno >= most then 1.0 else 3.0 * (1.0 - beta) / (1.0 + beta)
        reno <- reno + alpha * acked / window
        let target = target |> max window |> min (1.5 * window)
        window <- max reno (window + (target - window) * acked / window)

    let reduce () =
        // RFC 9438, 4.7: fast convergence.
        most <- if window < most then window * (1.0 + beta) / 2.0 else window
        threshold <- max 2.0 (window * beta)
        epoch <- Time.never

    interface IModel with
        member _.Window = window
        member _.PacingRate = infinity

        member _.Acknowledged sample =
            least <- min least sample.RoundTrip

            if float sample.Before >= window - 2.0 then
                if window < threshold then slowStart sample else avoid sample
            elif epoch <> Time.never then
                // RFC 9438, 5.8: time in which the window is not in use does not count.
                epoch <- Time.never

        member _.Lost(_, _) =
            reduce ()
            window <- threshold

        member _.TimedOut _ =
            reduce ()
            window <- 1.0
