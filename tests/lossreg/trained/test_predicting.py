"""Predictions for new inputs: what the model says of them, read and scaled as its data set was."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import lossreg
from lossreg import Data, Scaling
from lossreg.trained.predicting import predict_files, to_probabilities
from tests.lossreg.trained.conftest import load_run

if TYPE_CHECKING:
    from lossreg.trained.loading import LoadedRun
    from tests.conftest import Command
    from tests.lossreg.trained.conftest import Edit, Run


@pytest.fixture
def digits() -> Tensor:
    """The images of the test split."""
    test = lossreg.datasets.build("digits").test
    assert isinstance(test, tuple)
    return test[0]


@pytest.fixture
def loaded(run: Run) -> LoadedRun:
    """A classification of digits."""
    return load_run(run().directory)


def by_hand(run: LoadedRun, inputs: Tensor) -> np.ndarray[Any, Any]:
    """The probabilities of a batch, in float64."""
    with torch.no_grad():
        output = run.model.double()(inputs.double())
    run.model.float()
    probabilities: np.ndarray[Any, Any] = output.softmax(1).numpy()
    return probabilities


def test_arrays_are_taken_as_they_are(loaded: LoadedRun, digits: Tensor, tmp_path: Path) -> None:
    """One input, several, an archive and tensors give the probabilities of a softmax in float64."""
    np.save(tmp_path / "one.npy", digits[0].numpy())
    np.save(tmp_path / "several.npy", digits[:70].numpy())  # more than a batch
    np.savez(tmp_path / "archive.npz", a=digits[0].numpy(), b=digits[1:3].numpy())
    np.savez_compressed(tmp_path / "packed.npz", a=digits[1].numpy())
    from safetensors.torch import save_file

    save_file({"x": digits[3:5].contiguous()}, tmp_path / "tensors.safetensors")
    files = [tmp_path / name for name in ("one.npy", "several.npy", "archive.npz", "packed.npz", "tensors.safetensors")]
    found = predict_files(loaded, files)
    chosen = [0, *range(70), 0, 1, 2, 1, 3, 4]
    np.testing.assert_allclose(
        np.stack([one.probabilities for one in found if one.probabilities is not None]),
        by_hand(loaded, digits[chosen]), atol=1e-6,
    )  # fmt: skip
    names = [one.input.removeprefix(f"{tmp_path}/") for one in found]
    assert names[:3] == ["one.npy", "several.npy[0]", "several.npy[1]"]
    assert names[71:] == [
        "archive.npz:a", "archive.npz:b[0]", "archive.npz:b[1]", "packed.npz:a", "tensors.safetensors:x[0]",
        "tensors.safetensors:x[1]",
    ]  # fmt: skip


def test_an_array_of_another_order_and_type(loaded: LoadedRun, digits: Tensor, tmp_path: Path) -> None:
    """Columns first, big-endian, and float64 are the same numbers."""
    plain = digits[:3].numpy()
    np.save(tmp_path / "a.npy", np.asfortranarray(plain))
    np.save(tmp_path / "b.npy", plain.astype(">f4"))
    np.save(tmp_path / "c.npy", plain.astype(np.float64))
    found = [one.probabilities for one in predict_files(loaded, [tmp_path / f"{name}.npy" for name in "abc"])]
    np.testing.assert_allclose(np.stack([one for one in found if one is not None]), np.tile(
        by_hand(loaded, digits[:3]), (3, 1)), atol=1e-6)  # fmt: skip


def test_pictures_are_scaled_to_the_data_set(run: Run, tmp_path: Path) -> None:
    """Pixels are divided by 255, then the mean is taken off and the standard deviation divided by, for each channel."""
    seen: list[Tensor] = []
    inputs = torch.rand(20, 3, 4, 5)
    data = Data(
        (inputs, torch.arange(20) % 2), (inputs, torch.arange(20) % 2), "classification", (3, 4, 5), num_classes=2,
        input_scaling=Scaling((0.1, 0.2, 0.3), (0.5, 1.0, 2.0)),
    )  # fmt: skip
    model = nn.Sequential(nn.Flatten(), nn.Linear(60, 2))
    loaded = load_run(run(data=data, model=model, limit_train=None, limit_test=None).directory, model=model)
    model.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    pixels = np.random.default_rng(0).integers(256, size=(4, 5, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    np.save(tmp_path / "b.npy", pixels.transpose(2, 0, 1))
    predict_files(loaded, [tmp_path / "a.png", tmp_path / "b.npy"])
    expected = (pixels / 255 - np.array([0.1, 0.2, 0.3])) / np.array([0.5, 1.0, 2.0])
    for one in seen[0]:
        np.testing.assert_allclose(one.numpy(), expected.transpose(2, 0, 1), atol=1e-6)


@pytest.mark.parametrize("mode", ["L", "RGB", "P", "1", "LA", "RGBA", "I;16", "CMYK"])
def test_pictures_of_every_kind(loaded: LoadedRun, tmp_path: Path, mode: str) -> None:
    """A white picture is 1 everywhere, whatever its pixels are; the probabilities are those of ones."""
    if mode == "I;16":
        picture = Image.fromarray(np.full((28, 28), 65535, dtype=np.uint16))
    else:
        picture = Image.new("RGB", (28, 28), "white").convert(mode)
    file = tmp_path / ("a.jpg" if mode == "CMYK" else "a.png")
    picture.save(file)
    (found,) = predict_files(loaded, [file])
    assert found.probabilities is not None
    np.testing.assert_allclose(found.probabilities, by_hand(loaded, torch.ones(1, 1, 28, 28))[0], atol=1e-6)


def test_a_picture_is_turned_upright(loaded: LoadedRun, tmp_path: Path) -> None:
    """The orientation in a photograph's EXIF counts: 6 is turned by a quarter to the left."""
    upright = np.zeros((28, 28), dtype=np.uint8)
    upright[:14] = 255
    picture, exif = Image.fromarray(np.rot90(upright)), Image.Exif()
    exif[0x0112] = 6
    picture.save(tmp_path / "a.png", exif=exif)
    (found,) = predict_files(loaded, [tmp_path / "a.png"])
    assert found.probabilities is not None
    inputs = torch.from_numpy(upright / 255.0).reshape(1, 1, 28, 28)
    np.testing.assert_allclose(found.probabilities, by_hand(loaded, inputs)[0], atol=1e-6)


def test_a_table_gives_raw_numbers(run: Run, tmp_path: Path) -> None:
    """Raw measurements of the diabetes data give predictions in the unit of the target, as by hand."""
    result = run(data="diabetes", limit_train=None, limit_test=None, epochs=3)
    loaded = load_run(result.directory)
    data = lossreg.datasets.build("diabetes")
    assert isinstance(data.test, tuple)
    assert data.input_scaling is not None
    assert data.target_scaling is not None
    raw = data.test[0].double() * torch.tensor(data.input_scaling.std) + torch.tensor(data.input_scaling.mean)
    assert raw[0, 2] == pytest.approx(23.0, abs=1e-4)  # the body mass index of the file's fifth patient
    np.savetxt(tmp_path / "a.csv", raw.numpy(), delimiter=",", header="age,sex,bmi", comments="")
    lines = (tmp_path / "a.csv").read_text().splitlines()
    (tmp_path / "a.csv").write_text("\n".join(["age,sex,bmi,bp,s1,s2,s3,s4,s5,s6", *lines[1:]]) + "\n")
    found = np.array([one.values for one in predict_files(loaded, [tmp_path / "a.csv"])])
    with torch.no_grad():
        scaled = loaded.model.double()(data.test[0].double()).numpy()
    loaded.model.float()
    expected = scaled * data.target_scaling.std[0] + data.target_scaling.mean[0]
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    np.savetxt(tmp_path / "b.csv", data.test[0].numpy(), delimiter=",")
    as_is = np.array([one.values for one in predict_files(loaded, [tmp_path / "b.csv"], as_is=True)])
    np.testing.assert_allclose(as_is, expected, rtol=1e-4)


def segmentation(run: Run) -> LoadedRun:
    """A run whose model says of each pixel whether it is bright."""
    inputs = torch.rand(8, 1, 6, 7)
    data = Data(
        (inputs, (inputs[:, 0] > 0.5).long()), (inputs, (inputs[:, 0] > 0.5).long()), "segmentation", (1, 6, 7),
        num_classes=2, input_scaling=Scaling(),
    )  # fmt: skip
    model = nn.Conv2d(1, 2, 1)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([0.0, 1.0]).reshape(2, 1, 1, 1))
        assert model.bias is not None
        model.bias.copy_(torch.tensor([0.5, 0.0]))
    result = run(data=data, model=model, optimizer="sgd(lr=0.0)", limit_train=None, limit_test=None)
    return load_run(result.directory, model=nn.Conv2d(1, 2, 1))


def test_masks(run: Run, tmp_path: Path) -> None:
    """Each pixel gets its class, and the shares of the classes are those of the mask."""
    pixels = np.arange(42, dtype=np.uint8).reshape(6, 7) * 6
    Image.fromarray(pixels).save(tmp_path / "a.png")
    (found,) = predict_files(segmentation(run), [tmp_path / "a.png"])
    assert found.mask is not None
    np.testing.assert_array_equal(found.mask, pixels > 127)
    share = float((pixels > 127).mean())
    np.testing.assert_allclose(found.shares(), [(0, 1 - share), (1, share)])


def test_probabilities_of_every_kind_of_output() -> None:
    """Logits and log-probabilities become probabilities, and what is such already stays as it is."""
    logits = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    expected = logits.double().softmax(1).float()
    for output in (logits, logits.log_softmax(1), logits.softmax(1)):
        torch.testing.assert_close(to_probabilities(output), expected)


def wrong_inputs(folder: Path) -> dict[str, str]:
    """Files that cannot be used, with a part of what is said of them."""
    good = np.zeros((1, 28, 28), dtype=np.float32)
    np.save(folder / "shape.npy", good[:, :-1])
    np.save(folder / "none.npy", np.zeros((0, 1, 28, 28)))
    np.save(folder / "text.npy", np.array(["a"]))
    np.save(folder / "object.npy", np.array([{}], dtype=object), allow_pickle=True)
    np.save(folder / "nan.npy", np.full_like(good, np.nan))
    content = bytearray((folder / "shape.npy").read_bytes())
    (folder / "cut.npy").write_bytes(content[:-1])
    (folder / "claims.npy").write_bytes(bytes(content).replace(b"(1, 27, 28)", b"(1, 1<<99,)"[:11]))
    (folder / "huge.npy").write_bytes(bytes(content).replace(b"(1, 27, 28), }      ", b"(9, 999999999999), }"))
    (folder / "no.npy").write_bytes(b"no array")
    (folder / "no.npz").write_bytes(b"no archive")
    (folder / "no.png").write_bytes(b"no picture")
    (folder / "empty.png").touch()
    Image.new("L", (28, 29)).save(folder / "size.png")
    Image.new("RGBA", (28, 28), (0, 0, 0, 7)).save(folder / "clear.png")
    noise = np.random.default_rng(0).integers(256, size=(28, 28), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "whole.png")
    (folder / "half.png").write_bytes((folder / "whole.png").read_bytes()[:400])
    Image.new("L", (28, 28)).save(folder / "gif.gif")
    (folder / "gif.gif").rename(folder / "gif.png")
    (folder / "few.csv").write_text("1,2,3\n")
    (folder / "empty.csv").touch()
    (folder / "ragged.csv").write_text("1,2\n1\n")
    (folder / "word.csv").write_text("1,2\n1,x\n")
    (folder / "comma.csv").write_text('1,2\n1,"1,5"\n')
    (folder / "bytes.csv").write_bytes(b"\xff\xfe\x00")
    (folder / "no.safetensors").write_bytes(b"no tensors")
    (folder / "a.txt").touch()
    (folder / "folder.png").mkdir()
    return {
        "shape.npy": "its shape is (1, 27, 28), and an input of the model has (1, 28, 28)",
        "none.npy": "its shape is (0, 1, 28, 28)",
        "text.npy": "not numbers",
        "object.npy": "it holds Python objects",
        "nan.npy": "not finite",
        "cut.npy": "bytes follow",
        "claims.npy": "it is not an array as numpy.save writes it",
        "huge.npy": "its header says (9, 999999999999) of float32, but",
        "no.npy": "it is not an array",
        "no.npz": "it is not an archive",
        "no.png": "it cannot be read as a PNG, JPEG, BMP or WebP picture",
        "empty.png": "it cannot be read as a PNG, JPEG, BMP or WebP picture",
        "size.png": "it is 28 by 29 pixels, and the model takes 28 by 28; --resize makes it so",
        "clear.png": "it has transparent pixels",
        "half.png": "it cannot be read as a PNG, JPEG, BMP or WebP picture",
        "gif.png": "it cannot be read as a PNG, JPEG, BMP or WebP picture",
        "few.csv": "its rows have 3 numbers, and an input of the model has 784",
        "empty.csv": "it has no line of numbers",
        "ragged.csv": "row 2 has 1 cells, and the first of numbers 2",
        "word.csv": "row 2, column 2: 'x' is not a number",
        "comma.csv": "write 1.5",
        "bytes.csv": "it is not CSV",
        "no.safetensors": "cannot be read as weights",
        "a.txt": "its name does not end in one of",
        "folder.png": "it holds no pictures: their names end in .png",
        "nowhere.png": "it does not exist",
        "nowhere": "it does not exist",
    }


def test_what_cannot_be_used(loaded: LoadedRun, tmp_path: Path) -> None:
    """Each file that cannot be used is named with the reason, on one line."""
    for name, said in wrong_inputs(tmp_path).items():
        with pytest.raises(lossreg.DataError) as caught:
            predict_files(loaded, [tmp_path / name])
        assert caught.value.message.startswith(f"{tmp_path / name}: ")
        assert said in caught.value.message
        assert "\n" not in caught.value.message


def test_an_archive_that_unpacks_to_too_much(loaded: LoadedRun, tmp_path: Path) -> None:
    """An archive of a few kilobytes that says it holds gigabytes is refused before it is unpacked."""
    import zipfile

    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(5):
            archive.writestr(f"{number}.npy", b"\0" * 1000)
    content = (tmp_path / "bomb.npz").read_bytes()
    (tmp_path / "bomb.npz").write_bytes(content.replace((1000).to_bytes(4, "little"), (2**30).to_bytes(4, "little")))
    with pytest.raises(lossreg.DataError, match="unpacked, it is longer than 4,294,967,296 bytes"):
        predict_files(loaded, [tmp_path / "bomb.npz"])


def test_one_bad_input_among_many(run: Run, digits: Tensor, tmp_path: Path, lossreg_command: Command) -> None:
    """All that cannot be used are named, nothing is predicted or written, and the exit code is 2."""
    directory = str(run().directory)
    np.save(tmp_path / "good.npy", digits[:2].numpy())
    (tmp_path / "bad.png").touch()
    outcome = lossreg_command(
        "predict", directory, "good.npy", "bad.png", "gone.npy", "--out", "all.csv", "--device", "cpu"
    )
    assert outcome.code == 2
    assert outcome.err == (
        "lossreg: error: 2 of 3 inputs cannot be used; nothing was predicted:\n"
        "  bad.png: it cannot be read as a PNG, JPEG, BMP or WebP picture: it is not one, or damaged\n"
        "  gone.npy: it does not exist\n"
    )
    assert outcome.out == ""
    assert not (tmp_path / "all.csv").exists()


def test_lines_and_json(run: Run, digits: Tensor, tmp_path: Path, lossreg_command: Command) -> None:
    """A line has the most probable classes; --json the same numbers, an object for each input."""
    result = run()
    np.save(tmp_path / "a.npy", digits[:3].numpy())
    expected = by_hand(load_run(result.directory), digits[:3])
    words = ["predict", str(result.directory), "a.npy", "--device", "cpu", "--top", "3"]
    told = [json.loads(line) for line in lossreg_command(*words, "--json").out.splitlines()]
    lines = lossreg_command(*words).out.splitlines()
    for index, (row, line) in enumerate(zip(told, lines, strict=True)):
        best = np.argsort(-expected[index])[:3]
        assert row["input"] == f"a.npy[{index}]"
        assert row["class"] == best[0]
        assert [one["class"] for one in row["top"]] == best.tolist()
        assert row["probability"] == pytest.approx(expected[index, best[0]], abs=1e-6)
        assert line == f"a.npy[{index}]  " + "  ".join(f"{one} {expected[index, one]:.4f}" for one in best)


def test_files_of_predictions(run: Run, digits: Tensor, tmp_path: Path, lossreg_command: Command) -> None:
    """The suffix decides the form; all hold the same predictions."""
    result = run()
    np.save(tmp_path / "a.npy", digits[:3].numpy())
    expected = by_hand(load_run(result.directory), digits[:3])
    for name in ("out.csv", "out.jsonl", "out.npy"):
        words = ["predict", str(result.directory), "a.npy", "--device", "cpu", "--top", "2", "--out", name]
        assert lossreg_command(*words).out == f"{name}\n"
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), expected, atol=1e-6)
    with (tmp_path / "out.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    for index, (cells, row) in enumerate(zip(table, rows, strict=True)):
        first, second = np.argsort(-expected[index])[:2]
        assert (cells["input"], int(cells["class"]), int(cells["class_2"])) == (f"a.npy[{index}]", first, second)
        assert float(cells["probability"]) == pytest.approx(expected[index, first], abs=1e-6)
        assert (row["class"], row["top"][1]["class"]) == (first, second)


def test_files_of_numbers_and_masks(run: Run, tmp_path: Path, lossreg_command: Command) -> None:
    """A regression has a column of values; a mask is an array, or the picture of one input."""
    from lossreg.trained.prediction_files import predictions_place, write_predictions

    directory = str(run(data="diabetes", limit_train=None).directory)
    (tmp_path / "a.csv").write_text("59,2,32.1,101,157,93.2,38,4,4.8598,87\n")
    assert lossreg_command("predict", directory, "a.csv", "--out", "b.csv", "--device", "cpu").code == 0
    head, row = (tmp_path / "b.csv").read_text().splitlines()
    assert (head, row.partition(",")[0]) == ("input,value", "a.csv")
    assert f"{float(row.partition(',')[2]):.6g}" == lossreg_command("predict", directory, "a.csv").out.split()[1]
    loaded = segmentation(run)
    pixels = np.arange(42, dtype=np.uint8).reshape(6, 7) * 6
    np.save(tmp_path / "x.npy", np.stack([pixels, pixels[::-1]])[:, None])
    found = predict_files(loaded, [tmp_path / "x.npy"])
    write_predictions(predictions_place(str(tmp_path / "m.npy"), "segmentation", ()), found, 1)
    np.testing.assert_array_equal(np.load(tmp_path / "m.npy"), np.stack([pixels, pixels[::-1]]) > 127)
    picture = predictions_place(str(tmp_path / "m.png"), "segmentation", ())
    write_predictions(picture, found[:1], 1)
    np.testing.assert_array_equal(np.asarray(Image.open(picture)), pixels > 127)
    with pytest.raises(lossreg.ConfigError, match="a picture holds one mask"):
        write_predictions(tmp_path / "two.png", found, 1)
    assert not (tmp_path / "two.png").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--out", "a.txt"], "its name ends in one of .csv, .jsonl, .npy, .png"),
        (["--out", "a.png"], "a picture holds a mask, and a classification predicts none"),
        (["--out", "no/a.csv"], "there is no directory no"),
        (["--top", "0"], "--top is 1 to 10, the number of classes, not 0"),
        (["--top", "11"], "--top is 1 to 10"),
    ],
)
def test_wrong_use(
    run: Run, digits: Tensor, tmp_path: Path, lossreg_command: Command, words: list[str], said: str
) -> None:
    """It is found before anything is predicted, and is one line."""
    np.save(tmp_path / "a.npy", digits[0].numpy())
    outcome = lossreg_command("predict", str(run().directory), "a.npy", "--device", "cpu", *words)
    assert (outcome.code, outcome.out) == (2, "")
    assert said in outcome.err
    assert len(outcome.err.splitlines()) == 1


def test_scaling_that_is_not_known_is_said(
    run: Run, edit: Edit, digits: Tensor, tmp_path: Path, lossreg_command: Command
) -> None:
    """Where run.json does not tell how inputs were scaled, a warning says how a picture was read."""
    directory = run().directory
    edit(directory, lambda record: record["data"].update(input_scaling=None))
    Image.new("L", (28, 28)).save(tmp_path / "a.png")
    np.save(tmp_path / "a.npy", digits[0].numpy())
    warned = lossreg_command("predict", str(directory), "a.png", "--device", "cpu")
    assert "does not tell how its data set scaled its inputs" in warned.err
    assert lossreg_command("predict", str(directory), "a.npy", "--device", "cpu").err == ""


def test_resizing(loaded: LoadedRun, tmp_path: Path) -> None:
    """A picture of one colour stays so in another size."""
    Image.new("RGB", (100, 60), "white").save(tmp_path / "a.jpg", quality=100)
    (found,) = predict_files(loaded, [tmp_path / "a.jpg"], resize=True)
    assert found.probabilities is not None
    np.testing.assert_allclose(found.probabilities, by_hand(loaded, torch.ones(1, 1, 28, 28))[0], atol=1e-6)


def test_a_model_of_whole_numbers(run: Run, tmp_path: Path) -> None:
    """Inputs of a model with an embedding are whole numbers; a fraction is refused."""
    tokens = torch.randint(10, (20, 4))
    data = Data((tokens, tokens[:, 0] % 2), (tokens, tokens[:, 0] % 2), "classification", (4,), num_classes=2)
    model = nn.Sequential(nn.Embedding(10, 3), nn.Flatten(), nn.Linear(12, 2))
    loaded = load_run(run(data=data, model=model, limit_train=None, limit_test=None).directory, model=model)
    (tmp_path / "a.csv").write_text("1,2,3,9\n")
    (found,) = predict_files(loaded, [tmp_path / "a.csv"])
    assert found.probabilities is not None
    with torch.no_grad():
        expected = model(torch.tensor([[1, 2, 3, 9]])).softmax(1)[0]
    np.testing.assert_allclose(found.probabilities, expected.numpy(), atol=1e-6)
    (tmp_path / "b.csv").write_text("1,2,3,0.5\n")
    with pytest.raises(lossreg.DataError, match="takes whole numbers"):
        predict_files(loaded, [tmp_path / "b.csv"])
    (tmp_path / "c.csv").write_text("1,2,3,10\n")
    with pytest.raises(lossreg.ContractError, match="failed on a batch of shape"):
        predict_files(loaded, [tmp_path / "c.csv"])
