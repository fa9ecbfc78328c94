#!/usr/bin/env bash
# Which size of latent gives which songs, and what training in all keys gives, on one GPU: VAEs of
# several sizes from the release's, denoisers on them, 200 songs of each.
#
#   benchmarks/gpu_sizes.sh PACK WORK HOME [VAE_SECONDS [LDM_SECONDS [EARLY_SECONDS]]]
#
# PACK, WORK and HOME as in gpu_headline.sh. Denoisers on the release's own VAE begin at once and
# train for EARLY_SECONDS; those on the new ones for LDM_SECONDS when their VAE is there.
# Rehearse on a CPU: DEVICE=cpu SMALL=--small SIZES=small EARLY="small small-keys" RECIPE=small.
set -uo pipefail
cd "$(dirname "$0")/.."
pack=$1 work=$2 home=$3 vae_seconds=${4:-190} ldm_seconds=${5:-170} early_seconds=${6:-360}
device=${DEVICE:-cuda} small=${SMALL:-} sizes=${SIZES:-phrase16 phrase32 phrase48}
early=${EARLY:-dropout keys} recipe=${RECIPE:-dropout} python=${PYTHON:-python3}
release=${VAE:-releases/phraseldm-pop909/vae}
mkdir -p "$work" "$home"

headline() { # step name, further options
    "$python" -m benchmarks.gpu_headline "$1" "$pack" "$work" --name "$2" --device "$device" $small "${@:3}"
}

for name in $sizes; do # smaller ones begin with the release's encoder and decoder
    mkdir -p "$work/$name"
    for phase in infilling autoencoder; do
        [ -n "$small" ] || cp -r "$release" "$work/$name/$phase"
    done
    {
        headline vae "$name" --seconds "$vae_seconds" &&
            headline latents "$name" --encoder-alone &&
            headline ldm "$name" --recipe "$recipe" --seconds "$ldm_seconds" &&
            headline songs "$name" --recipe "$recipe" --last
    } > "$home/$name.log" 2>&1 &
done
mkdir -p "$work/release"
cp -r "$release" "$work/release/decoder"
headline latents release --encoder-alone > "$home/release.log" 2>&1
for one in $early; do
    {
        headline ldm release --recipe "$one" --seconds "$early_seconds" &&
            headline songs release --recipe "$one" --last
    } > "$home/release-$one.log" 2>&1 &
done
wait
for songs in "$work"/*/songs-*.npz; do
    cp "$songs" "$home/$(basename "$(dirname "$songs")")_$(basename "$songs")"
done
tail -n 2 "$home"/*.log
