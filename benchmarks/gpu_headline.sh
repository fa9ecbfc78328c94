#!/usr/bin/env bash
# The headline run on one GPU, from packed songs to trained models and songs, in steps of under ten
# minutes that resume: run it again and it goes on where it was.
#
#   benchmarks/gpu_headline.sh PACK WORK HOME [SECONDS]
#
# PACK   made on a machine with the program installed, from two artifacts of a store:
#        python -m benchmarks.headline_pack store/artifacts/ingest_songs/KEY \
#            store/artifacts/collect_phrases/KEY PACK
# WORK   gets checkpoints, models and songs; HOME weights in bf16 in pieces of 15 MiB
# SECONDS for the VAE's trainings and again for the denoisers'; 190 on an H200 made the release
#
# The GPU machine needs torch, transformers, safetensors, numpy, scipy, pydantic and rapidfuzz.
# Rehearse it on a CPU: DEVICE=cpu SMALL=--small NAMES=small RECIPES=small. The songs are measured by
#   python -m benchmarks.evaluate_songs_npz WORK/phrase64-sample-0/songs-3.npz PACK
set -euo pipefail
cd "$(dirname "$0")/.."
pack=$1 work=$2 home=$3 seconds=${4:-190}
device=${DEVICE:-cuda} small=${SMALL:-} names=${NAMES:-phrase64 phrase32} recipes=${RECIPES:-sample velocity}
python=${PYTHON:-python3}
mkdir -p "$work"

headline() { # step name, further options
    "$python" -m benchmarks.gpu_headline "$1" "$pack" "$work" --name "$2" --device "$device" $small "${@:3}"
}

for name in $names; do # a card is shared well by trainings that wait for Python
    { headline vae "$name" --seconds "$seconds" && headline latents "$name"; } > "$work/$name.log" 2>&1 &
done
wait
for name in $names; do
    for recipe in $recipes; do
        {
            headline ldm "$name" --recipe "$recipe" --seconds "$seconds" &&
                headline songs "$name" --recipe "$recipe"
        } > "$work/$name-$recipe.log" 2>&1 &
    done
done
wait
weights=()
for name in $names; do
    weights+=("$work/$name/decoder/model.safetensors")
    for recipe in $recipes; do weights+=("$work/$name-$recipe-0/snapshot-3/model.safetensors"); done
done
"$python" -m benchmarks.gpu_headline bring "$home" "${weights[@]}"
tail -n 2 "$work"/*.log
