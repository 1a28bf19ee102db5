// What packing does to the guides: a link that would lead out of the tarball becomes the name of its file, or leads to the
// copy in dist/. In a checkout, and where its pages are shown, the link is of more use.
import fs from 'node:fs';
import path from 'node:path';

const LINK = /\[([^\]]+)\]\((?!https?:|mailto:|#)([^)\s#]+)(?:#[^)\s]+)?\)/g;
/** Where the guides are kept as they were until packing is over. */
const KEPT = '.catamount/packing';

/** Rewrites the guides that `files` of package.json names. Whoever packs calls `restoreGuides` in the end. */
export function rewriteGuides(root, files) {
  const ofLib = fs.readdirSync(path.join(root, 'lib'), { recursive: true }).map((name) => `lib/${name}`);
  const named = files.filter((file) => /^[^*!]*\.md$/.test(file));
  for (const guide of ['README.md', ...named, ...ofLib.filter(isGuideOfLib)]) {
    const text = fs.readFileSync(path.join(root, guide), 'utf8');
    const packed = packedText(root, files, guide, text);
    if (packed === text) continue;
    fs.mkdirSync(path.dirname(path.join(root, KEPT, guide)), { recursive: true });
    fs.writeFileSync(path.join(root, KEPT, guide), text);
    fs.writeFileSync(path.join(root, guide), packed);
  }
}

/** Puts the guides back as they were before `rewriteGuides`, unless somebody has written to them since. */
export function restoreGuides(root, files) {
  const kept = path.join(root, KEPT);
  if (!fs.existsSync(kept)) return;
  for (const guide of fs.readdirSync(kept, { recursive: true }).filter((name) => name.endsWith('.md'))) {
    const text = fs.readFileSync(path.join(kept, guide), 'utf8');
    const file = path.join(root, guide);
    if (fs.readFileSync(file, 'utf8') === packedText(root, files, guide, text)) fs.writeFileSync(file, text);
  }
  fs.rmSync(kept, { recursive: true });
}

function packedText(root, files, guide, text) {
  const folder = path.posix.dirname(guide);
  return text.replace(LINK, (link, shown, target) => {
    const file = path.posix.join(folder, target);
    if (isPacked(file, files)) return link;
    const copy = path.posix.join('dist', file);
    if (fs.existsSync(path.join(root, copy))) return `[${shown}](${path.posix.relative(folder, copy)})`;
    return shown.includes(path.basename(file)) ? `\`${file}\`` : `${shown} (\`${file}\`)`;
  });
}

/** Whether a file that is not in dist/ is packed, by what `files` of package.json says. */
function isPacked(file, files) {
  return file === 'README.md' || files.includes(file) || (isGuideOfLib(file) && files.includes('lib/**/*.md'));
}

function isGuideOfLib(file) {
  return /^lib\/(?!.*node_modules).*\.md$/.test(file);
}
