#compdef utp
# Completion of utp for zsh. In ~/.zshrc, below compinit:  source <(utp completion zsh)
# Or as the file _utp in a folder of $fpath. Where utp has nothing to say, zsh completes names of files.

_utp() {
    local line="${words[1,CURRENT]}" word text
    local -a found
    while IFS=$'\t' read -r word text; do
        found+=("${word//:/\\:}:$text")
    done < <("${words[1]}" suggest "${#line}" "$line" 2>/dev/null)
    if (( ${#found} )); then
        _describe -V utp found
    else
        _files
    fi
}

if [[ "${funcstack[1]}" == _utp ]]; then
    _utp "$@"
elif (( $+functions[compdef] )); then
    compdef _utp utp
fi
