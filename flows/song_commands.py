"""`phraseldm accompany` and `phraseldm serve`: songs around a file, and songs over HTTP."""

from pathlib import Path
from typing import Annotated

import typer

from flows.options import (
    ForceOption,
    GuidanceOption,
    ListTracksOption,
    MapOption,
    ModelOption,
    StepsOption,
    StoreOption,
    print_tracks,
    required,
    use_sleeping_threads,
)
from tasks.command_line import CheckedGroup, CommandLine

song_app = CommandLine(cls=CheckedGroup)


@song_app.command()
def accompany(
    file: Annotated[Path, typer.Argument(help="MIDI file of 4/4.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="MIDI file to write.  [required]")
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(help="melody, bridge or piano, kept to the note; may be repeated.  [melody]"),
    ] = None,
    store: StoreOption = Path("store"),
    model: ModelOption = None,
    sections: Annotated[
        str | None, typer.Option(help="Layout such as 'i4 A8 B8 o2', if the file does not say.")
    ] = None,
    chords: Annotated[
        str | None, typer.Option(help="In the key of the file; else they are heard in it.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Another seed, another accompaniment.")] = 0,
    steps: StepsOption = None,
    guidance: GuidanceOption = None,
    force: ForceOption = False,
    role_map: MapOption = None,
    list_tracks: ListTracksOption = False,
) -> None:
    """Keep instruments of a MIDI file to the note, and write the others of the three anew."""
    if list_tracks:
        print_tracks([file], role_map)
        return
    use_sleeping_threads()
    from tasks.music.accompaniment import Accompaniment, accompany_file, kept_roles

    asked = Accompaniment(
        kept_roles(keep or ["melody"]),
        seed=seed,
        sections=sections,
        chords=chords,
        sampling={"num_sampling_steps": steps, "guidance_scale": guidance},
    )
    said = accompany_file(
        store, file, required(output), asked, model=model, role_map=role_map or (), force=force
    )
    typer.echo(said)


@song_app.command()
def serve(
    store: StoreOption = Path("store"),
    model: ModelOption = None,
    host: Annotated[
        str, typer.Option(help="Address to listen at; others than this computer's only if named.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 for any that is free.")] = 8080,
    threads: Annotated[
        int | None, typer.Option(min=1, max=256, help="Threads of a song; torch's own by default.")
    ] = None,
    queue_size: Annotated[
        int, typer.Option(min=1, max=1000, help="Songs that may wait; beyond it clients retry.")
    ] = 16,
    timeout: Annotated[
        float, typer.Option(min=1, max=86_400, help="Seconds that a client waits for a song.")
    ] = 120.0,
) -> None:
    """Serve songs over HTTP: /generate, /accompany, /jobs, /health, /docs, and a page at /."""
    use_sleeping_threads()
    from tasks.serving.server import serve as serve_songs

    serve_songs(
        store,
        model,
        host,
        port,
        threads=threads,
        queue_size=queue_size,
        wait_seconds=timeout,
    )
