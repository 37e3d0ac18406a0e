# Completion of utp for bash. In ~/.bashrc:  source <(utp completion bash)
# Where utp has nothing to say, such as for the name of a file, bash completes as usual.

_utp() {
    local line="${COMP_LINE:0:COMP_POINT}" word words=()
    while IFS=$'\t' read -r word _; do
        words+=("$word")
    done < <("${COMP_WORDS[0]}" suggest "${#line}" "$line" 2>/dev/null)
    COMPREPLY=("${words[@]}")
}

complete -o default -o bashdefault -F _utp utp
