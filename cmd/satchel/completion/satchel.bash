# bash completion for satchel. To have it in every shell:
#   echo 'eval "$(satchel completion bash)"' >>~/.bashrc
_satchel() {
  local IFS=$'\n'
  COMPREPLY=($(satchel complete --shell=bash "--word=${COMP_WORDS[COMP_CWORD]}" -- "${COMP_WORDS[@]:1:COMP_CWORD-1}" 2>/dev/null))
}
complete -o default -F _satchel satchel
