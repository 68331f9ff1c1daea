#compdef fetch
# Completion of fetch for zsh: source <(fetch completions zsh), or a file _fetch in a folder of $fpath

_fetch() {
    local line help paths
    local -a candidates
    for line in "${(@f)$("${(Q)words[1]/#\~/$HOME}" __complete -- "${(@Q)words[2,CURRENT]}" 2>/dev/null)}"; do
        case $line in
            (:*) paths=$line ;;
            (*)
                help=${line#*$'\t'}
                candidates+=("${${line%%$'\t'*}//:/\\:}${help:+:$help}")
                ;;
        esac
    done
    compset -P '--*='
    (( $#candidates )) && _describe -V 'fetch' candidates
    case $paths in
        (:files) _files ;;
        (:directories) _files -/ ;;
    esac
}

if [[ $funcstack[1] == _fetch ]]; then
    _fetch "$@"
else
    compdef _fetch fetch
fi
