using Microsoft.Extensions.Options;

namespace UtpPunch.AspNetCore;

/// <summary>Checks the options of nodes as <see cref="UtpNode.BindAsync(UtpNodeOptions?, CancellationToken)"/> does, when the host starts.</summary>
internal sealed class NodeOptionsValidation : IValidateOptions<UtpNodeOptions>
{
    public ValidateOptionsResult Validate(string? name, UtpNodeOptions options)
    {
        try
        {
            options.Validate();
            return ValidateOptionsResult.Success;
        }
        catch (ArgumentException error)
        {
            return ValidateOptionsResult.Fail($"uTP node \"{name}\": {error.Message}");
        }
    }
}
