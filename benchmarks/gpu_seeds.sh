#!/usr/bin/env bash
# Denoisers of the release's recipe by other seeds, and of other recipes, on the release's PhraseVAE,
# on one GPU, beside each other; then songs of each by plans of training songs and by drawn plans.
#
#   benchmarks/gpu_seeds.sh train PACK WORK SECONDS [RECIPE:SEED ...]
#   benchmarks/gpu_seeds.sh songs PACK WORK HOME    [RECIPE:SEED ...]
#
# PACK and WORK as in gpu_headline.sh, and PACK/drawn of `benchmarks.drawn_plans`; HOME gets the
# songs, learning curves and logs. Both resume. Rehearse on a CPU: DEVICE=cpu SMALL=--small NUMBER=2,
# with small-keys:1.
set -uo pipefail
cd "$(dirname "$0")/.."
step=$1 pack=$2 work=$3 last=$4
shift 4
[ $# -gt 0 ] || set -- texture-keys:1 texture-keys:2 paper:1
device=${DEVICE:-cuda} small=${SMALL:-} number=${NUMBER:-200}
python=${PYTHON:-python3} release=${VAE:-releases/phraseldm-pop909/vae}
mkdir -p "$work/release" "$work/logs"

headline() { # step, further options
    "$python" -m benchmarks.gpu_headline "$1" "$pack" "$work" --name release --device "$device" $small "${@:2}"
}
each() { # what to do for each RECIPE:SEED, beside each other
    for one in "${@:2}"; do "$1" "${one%:*}" "${one#*:}" >> "$work/logs/${one/:/-}.log" 2>&1 & done
    wait
    tail -n 3 "$work"/logs/*.log
}
train() { headline ldm --recipe "$1" --seed "$2" --seconds "$last"; }
songs() {
    headline songs --recipe "$1" --seed "$2" --last --number "$number"
    [ "$1" = paper ] || headline songs --recipe "$1" --seed "$2" --last --number "$number" --plans "$pack/drawn"
    cp "$work/release-$1-$2/songs-3.npz" "$last/$1-$2.npz"
    [ "$1" = paper ] || cp "$work/release-$1-$2/songs-3-drawn.npz" "$last/$1-$2-drawn.npz"
}

if [ "$step" = train ]; then
    [ -d "$work/release/decoder" ] || cp -r "$release" "$work/release/decoder"
    headline latents --encoder-alone > "$work/logs/latents.log" 2>&1
    each train "$@"
else
    mkdir -p "$last"
    each songs "$@"
    for one in "$@"; do # one file: few come back
        sed "s/^/${one/:/-} /" "$work/release-${one/:/-}/state/metrics.jsonl"
    done > "$last/curves.txt"
    cat "$work"/logs/*.log > "$last/logs.txt"
fi
