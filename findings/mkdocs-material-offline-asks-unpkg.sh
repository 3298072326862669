#!/usr/bin/env bash
# The plugin that makes a site work without a network puts a script from the network into each page.
#
# Seen with mkdocs 1.6.1 and mkdocs-material 9.8.2: a site built without the plugin `offline` asks
# nobody else, given no fonts from Google; with it each page has a script whose address is on
# unpkg.com, which a browser fetches as soon as it is online.
#
# For a phone bot's docs, built and read where no network is: each page tells a third party of its
# reader, and a strict content policy breaks it.
# Here: the plugin is left out, and the site's build refuses a page that loads anything from
# elsewhere.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for python in python3 python3.11 python3.12 python3.13; do
  ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>"$folder/errors" || break
done
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check mkdocs==1.6.1 mkdocs-material==9.8.2

mkdir "$folder/docs"
echo "# A page" >"$folder/docs/index.md"
build() { # build NAME PLUGINS: how many addresses of elsewhere the page's scripts have
  cat >"$folder/mkdocs.yml" <<YAML
site_name: Site
theme: {name: material, font: false}
plugins: $2
YAML
  NO_MKDOCS_2_WARNING=1 "$folder/venv/bin/mkdocs" build -q -f "$folder/mkdocs.yml" -d "$folder/$1"
  grep -oE '<script[^>]+src="?https?://[^/" ]+' "$folder/$1/index.html" | sed 's/.*src="*//' | sort -u
}
plain=$(build plain "[search]" || true)
offline=$(build offline "[search, offline]" || true)
"$folder/venv/bin/pip" list --disable-pip-version-check 2>/dev/null | grep -E "^mkdocs(-material)? "
echo "scripts from elsewhere: without the plugin '$plain', with it '$offline'"
if [ -z "$plain" ] && [ "$offline" = "https://unpkg.com" ]; then
  echo "seen as described"
else
  echo "NOT as described"
  exit 1
fi
