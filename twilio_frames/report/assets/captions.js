// What was said, written under and over the sound of it.

// Lays words out in lines no wider than a box; gives [word, style, x, line] of each that fits.
function laidOut(context, tokens, width, mostLines) {
  const space = context.measureText(" ").width;
  const placed = [];
  let x = 0, line = 0;
  for (const [word, style] of tokens) {
    const size = context.measureText(word).width;
    if (x > 0 && x + size > width) { x = 0; line += 1; }
    if (line >= mostLines) { placed.push(["…", "plain", -1, line - 1]); break; }
    placed.push([word, style, x, line, size]);
    x += size + space;
  }
  return placed;
}

function caption(context, tokens, x, width, [top, height], colour) {
  context.save();
  context.beginPath();
  context.rect(x, top, width, height + 2);
  context.clip();
  context.font = FONT;
  context.textBaseline = "top";
  let end = 0;
  for (const [word, style, at, line, size] of laidOut(context, tokens, width, Math.floor(height / 15))) {
    context.fillStyle = style === "unheard" ? colours.bad : style === "faint" ? colours.soft : colour;
    context.globalAlpha = style === "unheard" ? 0.85 : 1;
    const left = x + (at < 0 ? end : at);
    context.fillText(word, left, top + line * 15);
    if (style === "unheard") context.fillRect(left, top + line * 15 + 6.5, size + 3, 1);
    end = at < 0 ? end : at + size + 2;
  }
  context.restore();
}

const CAPTION_WIDTH = 150;

function captions(context, items, lane, colour) {
  context.font = FONT;
  const widths = items.map(({ tokens }) => context.measureText(tokens.map(([word]) => word).join(" ")).width + 4);
  // Text keeps to the screen, and begins where the sound does if it can.
  const wanted = items.map(({ begin }, index) =>
    Math.min(view.x(begin), view.width - Math.min(widths[index], CAPTION_WIDTH)));
  let free = 0;
  items.forEach(({ begin, end, tokens }, index) => {
    const needed = widths[index];
    const next = index + 1 < items.length ? wanted[index + 1] - 8 : view.width;
    const left = Math.max(free, wanted[index]);
    const right = Math.min(next, view.width, Math.max(view.x(end), left + CAPTION_WIDTH));
    if (right - left <= 34 || view.x(end) < 0 || view.x(begin) > view.width) return;
    caption(context, tokens, left, right - left, lane, colour);
    free = left + Math.min(right - left, needed) + 8;
  });
}

const split = (text, style) => text.split(/\s+/).filter(Boolean).map((word) => [word, style]);

const callerCaptions = content.utterances.map(([begin, end, text, isBackchannel]) => ({
  begin, end, tokens: text ? split(text, isBackchannel ? "faint" : "plain") : [["(no words)", "faint"]],
}));

const botCaptions = content.replies.map((reply) => {
  const heard = reply.heard;
  const shown = reply.known
    ? [...heard.map(([, word]) => [word, "plain"]), ...split(reply.unheard, "unheard")]
    : split(reply.text, "plain");
  const begin = onset(reply);
  return { begin, end: Math.max(begin + 1, heard.length ? heard[heard.length - 1][0] : begin), tokens: shown };
});

function onset(reply) {
  const first = reply.heard.length ? reply.heard[0][0] : Infinity;
  const index = firstBeyond(content.heard, reply.at - 0.05, (span) => span[0]);
  const begin = index < content.heard.length ? content.heard[index][0] : reply.at;
  return begin < first && begin - reply.at < 5 ? begin : Math.min(first, reply.at);
}

// Each word where it was heard, when there is room for it.
function words(context) {
  const [top] = LANES.botWords;
  context.textBaseline = "top";
  for (const [index, reply] of content.replies.entries()) {
    const { begin, end } = botCaptions[index];
    if (end < view.begin - 10 || begin > view.end) continue;
    let from = begin;
    context.font = FONT;
    reply.heard.forEach(([to, word], number) => {
      const x = view.x(Math.max(from, to - 1.2)), right = view.x(to);
      context.fillStyle = colours.rule;
      context.fillRect(right, top - 4, 1, 12);
      context.fillStyle = colours.ink;
      context.fillText(word, Math.max(x + 1, right - 2 - context.measureText(word).width), top + (number % 2) * 15);
      from = to;
    });
    if (reply.unheard) {
      caption(context, split(reply.unheard, "unheard"), view.x(from) + 8, 260, [top + 30, 32], colours.bad);
    }
  }
}
