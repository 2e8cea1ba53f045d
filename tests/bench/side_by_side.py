"""What benches that run programs in turn have in common: their options, and their figures one after the other."""
import argparse
import contextlib
import os
import pathlib
import platform


def arguments(about, figures, **numbers):
    """The options --binary and one for each of `numbers` with its default, and which figures are asked for."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default="build/release/pgkeel")
    for name, default in numbers.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("figures", nargs="*", default=figures)
    args = parser.parse_args()
    if unknown := set(args.figures) - set(figures):
        parser.error(f"no figure is called {', '.join(sorted(unknown))}; there are: {', '.join(figures)}")
    os.environ["PGKEEL_BINARY"] = str(pathlib.Path(args.binary).resolve())
    return args


def tell_conditions(args, title, programs, rounds):
    import program  # the caller has put its folder on the path
    server = program.run([program.postgres_bin() / "postgres", "-V"]).stdout.strip()
    print(f"pgkeel {title}: {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start, {server},\n  {programs}; "
          f"{platform.platform()}; {args.binary}\n  medians of {rounds}", flush=True)


def run(make, args):
    """Each figure is a method of what make(args, stack) gives."""
    with contextlib.ExitStack() as stack:
        bench = make(args, stack)
        for name in args.figures:
            getattr(bench, name)()
