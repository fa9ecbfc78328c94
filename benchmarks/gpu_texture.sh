#!/usr/bin/env bash
# Denoisers that know the texture on the release's PhraseVAE, on one GPU: in the songs' own key, and
# in all keys first; 200 songs of each.
#
#   benchmarks/gpu_texture.sh PACK WORK HOME [SECONDS]
#
# PACK, WORK and HOME as in gpu_headline.sh. Rehearse on a CPU: DEVICE=cpu SMALL=--small
# RECIPES="small small-keys".
set -uo pipefail
cd "$(dirname "$0")/.."
pack=$1 work=$2 home=$3 seconds=${4:-250}
device=${DEVICE:-cuda} small=${SMALL:-} recipes=${RECIPES:-texture-keys texture}
python=${PYTHON:-python3} release=${VAE:-releases/phraseldm-pop909/vae}
mkdir -p "$work/release" "$home"
cp -r "$release" "$work/release/decoder"

headline() { # step, further options
    "$python" -m benchmarks.gpu_headline "$1" "$pack" "$work" --name release --device "$device" $small "${@:2}"
}

headline latents --encoder-alone > "$home/release.log" 2>&1
for recipe in $recipes; do
    {
        headline ldm --recipe "$recipe" --seconds "$seconds" &&
            headline songs --recipe "$recipe" --last
    } > "$home/release-$recipe.log" 2>&1 &
done
wait
for recipe in $recipes; do
    cp "$work/release-$recipe-0/songs-3.npz" "$home/release-$recipe-songs.npz"
    cp "$work/release-$recipe-0/state/metrics.jsonl" "$home/release-$recipe-curve.jsonl"
done
tail -n 2 "$home"/*.log
