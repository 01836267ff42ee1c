"""Arguments by click, whose flags take no value."""

import click

import wandb


@click.command()
@click.option("--x", type=float, default=1.0)
@click.option("--fast", is_flag=True)
def main(x, fast):
    assert fast
    wandb.init(config={"x": x, "fast": fast})
    for epoch in range(4):
        wandb.log({"loss": x / (epoch + 1)})


if __name__ == "__main__":
    main()
