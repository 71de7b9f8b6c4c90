#!/bin/sh
# Shows what textkit does. `demo.sh serve` streams text through the shipped models, in seconds. `demo.sh train [FOLDER]` trains,
# exports and serves a model of your own in about a minute and keeps it in FOLDER (default: demo). `make demo` runs both.
set -eu
part=${1:-serve} folder=${2:-demo}
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then bold=$(printf '\033[1m') plain=$(printf '\033[0m'); else bold='' plain=''; fi

say() { printf '\n%s%s%s\n' "$bold" "$1" "$plain"; }
show() { printf '$ %s\n' "$1"; eval "$1"; }

serve() {
  say "1. A shipped model translates, English to German."
  show "printf 'I am going home.\\nWhere is the station?\\n' | textkit translate"

  say "2. Another one turns each line into a vector (here the first five of its 384 numbers)."
  show "echo 'The cat sat on the mat.' | textkit embed | cut -d' ' -f1-5"

  say "3. A third says how likely a line is (log-probability, tokens, perplexity), and continues a text."
  show "printf 'I am going home.\\nHome going am I.\\n' | textkit score"
  show "textkit generate 'The station is' --max-tokens 20 --temperature 0.7 --seed 1"

  say "4. All are filters: each line in gives one line out, in order, however many there are."
  show "yes 'One line of many.' | head -n 200000 | textkit embed -m en-words --format f32 | wc -c"
  echo "   (200,000 lines x 128 numbers x 4 bytes)"

  say "5. A fourth model says which language each line is in."
  show "printf 'Where is the station?\\nWo ist der Bahnhof?\\nOù est la gare ?\\nГде находится вокзал?\\n駅はどこですか。\\n' | textkit classify"

  say "6. Words of similar meaning lie close together; a word that the model has never seen is made of its n-grams."
  show "textkit nearest -k 3 music unmusically"

  say "7. Search in textkit's own documentation: by meaning (few of the words are there), and by words."
  docs=$(dirname "$0")/../docs
  show "textkit search --meaning --input paragraphs -k 1 'can I go on after my computer crashed' $docs/*.md | cut -c1-200"
  show "textkit search --words -k 2 'renameat2' $docs/*.md | cut -c1-200"
}

train() {
  rm -rf "$folder"
  mkdir -p "$folder"
  say "8. Now a model of your own. The raw text is the reference manual that comes with every Python."
  # shellcheck disable=SC2016
  show "python -c 'from pydoc_data.topics import topics; print(*topics.values(), sep=\"\\n\")' > $folder/manual.txt"
  show "wc $folder/manual.txt"

  say "9. Train word vectors on it (PyTorch and compiled kernels, on this machine)."
  show "textkit train fasttext $folder/manual.txt -o $folder/run --set epochs=20 --set dim=64"

  say "10. Export them: the model is compared with the trained network, then written as a folder that serves without PyTorch."
  show "textkit export-onnx $folder/run -o $folder/manual-words --precision int8"
  show "ls $folder/manual-words"

  say "11. Serve them."
  show "echo 'raise an exception' | textkit embed -m $folder/manual-words | cut -d' ' -f1-5"
  show "textkit nearest -m $folder/manual-words -k 3 integer exceptional"

  say "12. The same for labels: which chapter of the manual is a line from? The data is label<tab>text."
  # shellcheck disable=SC2016
  show "python -c 'from pydoc_data.topics import topics; print(*(f\"{k}\t{l.strip()}\" for k in (\"strings\", \"typesseq\", \"try\", \"import\", \"class\") if k in topics for l in topics[k].split(chr(10)) if len(l.split()) > 4), sep=\"\n\")' > $folder/chapters.tsv"
  show "textkit train classifier $folder/chapters.tsv -o $folder/labels --set epochs=8"
  show "textkit export-onnx $folder/labels -o $folder/chapters --precision int8"
  show "echo 'An except clause handles the exception.' | textkit classify -m $folder/chapters --top 2"

  say "13. A large input is cut into parts. A run that is killed loses none that is done; the same command makes the others."
  work=$(mktemp -d)
  yes 'One line of many.' | head -n 200000 > "$work/lines.txt"
  show "textkit embed -m en-words $work/lines.txt --format f32 -o $work/parts/ --parts 50 &"
  killed=$!
  until [ -e "$work/parts/_textkit/done/00010.json" ] || ! kill -0 $killed 2>/dev/null; do sleep 0.05; done
  show "kill -KILL $killed || true"
  show "textkit embed -m en-words $work/lines.txt --format f32 -o $work/parts/ --parts 50 -v"
  show "textkit parts $work/parts/ && textkit parts $work/parts/ --join | wc -c"
  rm -r "$work"

  say "Done. Everything made is in $folder/; textkit --help shows the rest."
}

case $part in
  serve | train) "$part" ;;
  *) echo "usage: demo.sh serve | train [FOLDER]" >&2; exit 2 ;;
esac
