# fish completion for satchel. To have it in every shell:
#   satchel completion fish >~/.config/fish/completions/satchel.fish
function __satchel
  set -l word (commandline -ct)
  set -l before (commandline -opc)
  satchel complete --shell=fish "--word=$word" -- $before[2..-1] 2>/dev/null
end
complete -c satchel -a '(__satchel)'
