# Completion of utp for fish. As ~/.config/fish/completions/utp.fish, or in config.fish:  utp completion fish | source
# Where utp has nothing to say, fish completes names of files.

function __utp_complete
    set -l line (commandline -cp)
    set -l found (utp suggest (string length -- "$line") "$line" 2>/dev/null)
    if set -q found[1]
        printf '%s\n' $found
    else
        __fish_complete_path (commandline -ct)
    end
end

complete -c utp -f -a '(__utp_complete)'
