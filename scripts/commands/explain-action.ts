import { existsSync } from 'node:fs'
import { basename, extname, join } from 'node:path'
import sharp from 'sharp'
import { type BackendName, useBackend } from '../../src/backend/choose.js'
import { writeFileAtomic } from '../../src/files/atomic.js'
import { makeFolder } from '../../src/files/folders.js'
import { type ExplainedImage, explanationFigure } from '../../src/report/explanation-figure.js'
import { explanationPage } from '../../src/report/explanation-page.js'
import type { ImageShape, Size2D } from '../../src/shapes.js'
import { type ExplainedImages, expertSheet, explainFiles } from '../run/explained-images.js'
import { imagePaths } from '../run/image-paths.js'
import { decodingOf } from '../run/model-decoding.js'
import { openModel } from '../run/opened-model.js'
import { shellCommand } from '../terminal/shell-command.js'
import { percent } from '../terminal/training-log.js'
import { UsageError } from '../terminal/usage-error.js'

/** The flags of `pmoe explain`. */
export interface ExplainRequest {
  readonly out: string
  readonly sensitivity: boolean
  readonly force?: boolean
  readonly backend?: BackendName | 'auto'
  readonly json?: boolean
}

/** Images that are explained at a time: their pictures are in memory together. */
const batch = 64

/** Explains image files: a picture and a page for each, and what they have in common. */
export async function runExplain(
  path: string,
  named: readonly string[],
  request: ExplainRequest,
): Promise<void> {
  const files = await imagePaths(named)
  const names = files.map(outputName)
  const outputs = names.flatMap(name => [`${name}.png`, `${name}.html`])
  if (files.length > 1) outputs.push('index.html', 'experts.png')
  checkOutputs(request, outputs)
  await useBackend(request.backend ?? 'auto')
  const opened = await openModel(path)
  const decoding = decodingOf(opened)
  const classNames = opened.config?.dataset.classNames ?? []
  const all: ExplainedImage[] = []
  let rest: Omit<ExplainedImages, 'images'> = {}
  for (let first = 0; first < files.length; first += batch) {
    const paths = files.slice(first, first + batch)
    const { images, ...found } = await explainFiles(opened, paths, decoding, classNames, request.sensitivity)
    rest = found
    all.push(...images)
    images.forEach((image, i) => {
      process.stdout.write(`${request.json ? line(image, paths[i] ?? '') : sentence(image, request.out)}\n`)
    })
  }
  const command = shellCommand(['pmoe', 'explain', path, ...named, '--out', request.out])
  await writePages({ ...rest, images: all }, names, decoding.shape, { path, command, out: request.out })
  if (!request.json) process.stdout.write(`Pictures and pages in ${request.out}\n`)
}

interface Provenance {
  readonly path: string
  readonly command: string
  readonly out: string
}

async function writePages(
  explained: ExplainedImages,
  names: readonly string[],
  [height, width]: ImageShape,
  { path, command, out }: Provenance,
): Promise<void> {
  await makeFolder(out)
  const { images, field, grid } = explained
  const settings: [string, string][] = [['model', path]]
  if (grid) settings.push(['patches', grid.join('x')])
  const input: Size2D = [height, width]
  const common = { settings, command, input, ...(field && { field }) }
  for (const [i, image] of images.entries()) {
    const svg = explanationFigure(image, 'explained')
    await writeFileAtomic(join(out, `${names[i]}.png`), await sharp(Buffer.from(svg)).png().toBuffer())
    const page = explanationPage({ title: image.name, images: [image], ...common })
    await writeFileAtomic(join(out, `${names[i]}.html`), page)
  }
  if (images.length === 1) return
  const sheet = await expertSheet(explained)
  if (sheet) await writeFileAtomic(join(out, 'experts.png'), sheet)
  const title = `${images.length} images`
  const index = { title, images, ...common, ...(sheet && { expertSheet: 'experts.png' }) }
  await writeFileAtomic(join(out, 'index.html'), explanationPage(index))
}

function checkOutputs({ out, force }: ExplainRequest, outputs: readonly string[]): void {
  const twice = outputs.find((name, i) => outputs.indexOf(name) !== i)
  if (twice !== undefined) {
    throw new UsageError(`explain: images must have names of their own, got two that become ${twice}`)
  }
  const there = outputs.find(name => existsSync(join(out, name)))
  if (there !== undefined && !force) {
    throw new UsageError(
      `explain: --out must not hold the pictures yet, got ${join(out, there)} (replace it with --force)`,
    )
  }
}

/** `a/photo.jpg` -> `photo`. */
function outputName(path: string): string {
  return basename(path, extname(path))
}

function sentence(
  { name, classes: [best], grid, experts, sensitivity }: ExplainedImage,
  out: string,
): string {
  const verdict = `${name}: ${best?.name} ${percent(best?.probability ?? Number.NaN)}`
  if (!grid) return `${verdict}; the model keeps every patch`
  const kept = new Set(experts.flatMap(({ patches }) => patches)).size
  const lost = Array.from(sensitivity ?? [])
  const most = lost.indexOf(Math.max(...lost))
  const counts =
    lost.length === 0 ? '' : `; without patch ${most} it loses ${percent(lost[most] ?? Number.NaN)}`
  return `${verdict}; ${kept} of ${grid[0] * grid[1]} patches kept${counts}; ${join(out, `${outputName(name)}.html`)}`
}

function line({ uri: _, size: __, ...image }: ExplainedImage, path: string): string {
  const { sensitivity } = image
  return JSON.stringify({
    image: path,
    ...image,
    ...(sensitivity && { sensitivity: Array.from(sensitivity) }),
  })
}
