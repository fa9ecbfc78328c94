#!/usr/bin/env bash
# Denoisers that know the texture on the release's PhraseVAE, on one GPU: in the songs' own key, and
# in all keys first; 200 songs of each.
#
#   benchmarks/gpu_texture.sh PACK WORK HOME [RECIPE=SECONDS ...]
#
# PACK, WORK and HOME as in gpu_headline.sh. Rehearse on a CPU: DEVICE=cpu SMALL=--small, with
# small=6 small-keys=6.
set -uo pipefail
cd "$(dirname "$0")/.."
pack=$1 work=$2 home=$3
shift 3
[ $# -gt 0 ] || set -- texture-keys=235 texture=120
device=${DEVICE:-cuda} small=${SMALL:-}
python=${PYTHON:-python3} release=${VAE:-releases/phraseldm-pop909/vae}
mkdir -p "$work/release" "$home"
cp -r "$release" "$work/release/decoder"

headline() { # step, further options
    "$python" -m benchmarks.gpu_headline "$1" "$pack" "$work" --name release --device "$device" $small "${@:2}"
}

headline latents --encoder-alone > "$home/release.log" 2>&1
for one in "$@"; do
    recipe=${one%=*}
    {
        headline ldm --recipe "$recipe" --seconds "${one#*=}" &&
            headline songs --recipe "$recipe" --last
    } > "$home/release-$recipe.log" 2>&1 &
done
wait
for one in "$@"; do
    recipe=${one%=*}
    cp "$work/release-$recipe-0/songs-3.npz" "$home/release-$recipe-songs.npz"
    cp "$work/release-$recipe-0/state/metrics.jsonl" "$home/release-$recipe-curve.jsonl"
done
tail -n 2 "$home"/*.log
