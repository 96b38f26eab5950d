#compdef satchel
# zsh completion for satchel. To have it in every shell, after compinit:
#   echo 'eval "$(satchel completion zsh)"' >>~/.zshrc
_satchel() {
  local -a found
  found=("${(@f)$(satchel complete --shell=zsh "--word=${words[CURRENT]}" -- "${(@)words[2,CURRENT-1]}" 2>/dev/null)}")
  if [[ -n "$found[1]" ]]; then
    _describe satchel found
  else
    _files
  fi
}
compdef _satchel satchel
