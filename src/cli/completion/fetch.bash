# Completion of fetch for bash: source <(fetch completions bash)

_fetch() {
    local line=${COMP_LINE:0:COMP_POINT} prefix='' candidate paths
    local -a words
    read -ra words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=('')
    local current=${words[${#words[@]} - 1]}
    # Where = does not break words, what stands before it belongs to the word.
    [[ $current == --*=* && $COMP_WORDBREAKS != *=* ]] && prefix=${current%%=*}=
    COMPREPLY=()
    while IFS=$'\t' read -r candidate _; do
        case $candidate in
        :*) paths=$candidate ;;
        *) COMPREPLY+=("$prefix$candidate") ;;
        esac
    done < <("${1/#\~/$HOME}" __complete -- "${words[@]:1}" 2>/dev/null)
    case $paths in
    :directories) compopt -o dirnames ;;
    :files)
        if ((${#COMPREPLY[@]} == 0)); then
            compopt -o bashdefault -o default
        else
            compopt -o filenames
            while IFS= read -r candidate; do
                COMPREPLY+=("$candidate")
            done < <(compgen -f -- "$current")
        fi
        ;;
    esac
}

complete -F _fetch fetch
