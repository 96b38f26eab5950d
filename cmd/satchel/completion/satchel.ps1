# PowerShell completion for satchel. To have it in every shell:
#   Add-Content $PROFILE 'satchel completion powershell | Out-String | Invoke-Expression'
Register-ArgumentCompleter -Native -CommandName satchel, satchel.exe -ScriptBlock {
    param($word, $line, $cursor)
    $before = @($line.CommandElements | Select-Object -Skip 1 | Where-Object { $_.Extent.EndOffset -lt $cursor } | ForEach-Object { $_.Extent.Text })
    & satchel complete --shell=powershell "--word=$word" -- @before 2>$null | ForEach-Object {
        $name, $help = $_ -split "`t", 2
        if (-not $help) { $help = $name }
        [System.Management.Automation.CompletionResult]::new($name, $name, 'ParameterValue', $help)
    }
}
