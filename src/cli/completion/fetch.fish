# Completion of fetch for fish: fetch completions fish | source

function __fetch_complete
    set -l words (commandline -opc)
    set -l value (commandline -ct)
    set -a words "$value"
    set -l prefix ''
    if string match -q -- '--*=*' "$value"
        set prefix (string replace -r '=.*' '=' -- $value)
        set value (string replace -r '^[^=]*=' '' -- $value)
    end
    for line in ($words[1] __complete -- $words[2..] 2>/dev/null)
        switch $line
            case ':none'
            case ':files'
                for path in (__fish_complete_path "$value")
                    printf '%s%s\n' $prefix $path
                end
            case ':directories'
                for path in (__fish_complete_directories "$value")
                    printf '%s%s\n' $prefix $path
                end
            case '*'
                printf '%s%s\n' $prefix $line
        end
    end
end

complete -c fetch -f -a '(__fetch_complete)'
