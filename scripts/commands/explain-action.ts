import { existsSync } from 'node:fs'
import { basename, join } from 'node:path'
import sharp from 'sharp'
import { type BackendName, useBackend } from '../../src/backend/choose.js'
import { shellCommand } from '../../src/cluster/shell-command.js'
import { ImageNotes } from '../../src/data/image-notes.js'
import type { UnreadableImage } from '../../src/data/unreadable-images.js'
import { writeFileAtomic } from '../../src/files/atomic.js'
import { makeFolder } from '../../src/files/folders.js'
import { chosenText } from '../../src/report/chosen-experts.js'
import { printableName } from '../../src/report/escape.js'
import { type ExplainedImage, explanationFigure } from '../../src/report/explanation-figure.js'
import { explanationPage } from '../../src/report/explanation-page.js'
import type { Size2D } from '../../src/shapes.js'
import { decodeFiles, refuseUnreadable } from '../run/decoded-images.js'
import { type ExplainedImages, expertSheet, explainImages } from '../run/explained-images.js'
import { frozenWhereFaster } from '../run/frozen-model.js'
import { namedImages, outputNames } from '../run/image-paths.js'
import { decodingOf } from '../run/model-decoding.js'
import type { RoutedOptions } from '../run/network.js'
import { keepPatches, type OpenedModel } from '../run/opened-model.js'
import { explainedRegions, regionSheet } from '../run/regions/explained-regions.js'
import {
  AnySizeModel,
  firstImages,
  imageFiles,
  type KeptBoxes,
  regionAnswers,
} from '../run/regions/region-answers.js'
import { loadRegions } from '../run/run-data.js'
import { askedModel, type PlainModelRequest } from '../run/transfer/plain-model.js'
import { noteText } from '../terminal/safe-output.js'
import { percent } from '../terminal/training-log.js'
import { UsageError } from '../terminal/usage-error.js'

/** The flags of `pmoe explain`. */
export interface ExplainRequest extends PlainModelRequest {
  readonly out: string
  readonly sensitivity: boolean
  readonly force?: boolean
  /** L, in the place of that of training. */
  readonly patchesPerExpert?: number
  readonly backend?: BackendName | 'auto'
  readonly json?: boolean
}

/** Images that are explained at a time; their pictures are in memory together. */
const batch = 64

/** Names of the test images that are explained where none are named. */
const testImageNames = Array.from({ length: 6 }, (_, i) => `test-${i + 1}`)

/**
 * Explains image files: a picture and a page for each, and what they have in common; those that
 * cannot be read are left out.
 *
 * @throws Error at the end, naming the images that could not be read
 */
export async function runExplain(
  path: string,
  named: readonly string[],
  request: ExplainRequest,
): Promise<void> {
  const { paths, notes, unreadable: missing } = await namedImages(named)
  const files = named.length > 0 ? paths : testImageNames
  const common = files.length > 1 ? ['index', 'experts'] : []
  const outputs = outputNames(files, common)
  checkOutputs(request, [...outputs.flatMap(name => [`${name}.png`, `${name}.html`]), ...commonFiles(common)])
  await useBackend(request.backend ?? 'auto')
  const opened = await askedModel(path, 'explain', request)
  if (named.length === 0 && opened.config?.model.options.kind !== 'routed') {
    throw new UsageError(
      'explain: images must be named, got none (a run of model routed shows test images then)',
    )
  }
  const unreadable = [...missing]
  const imageNotes = new ImageNotes()
  const explainer = await explainerOf(opened, files, request, unreadable, imageNotes)
  const all: ExplainedImage[] = []
  const names: string[] = []
  let position = 0
  for await (const { image, file } of explainer.images) {
    position = files.indexOf(file, position)
    const name = outputs[position++] ?? file
    all.push(image)
    names.push(name)
    process.stdout.write(
      `${request.json ? jsonLine(image, file) : sentence(image, join(request.out, name))}\n`,
    )
  }
  for (const note of [...notes, ...imageNotes.lines]) process.stderr.write(`${noteText(note)}\n`)
  if (all.length > 0) {
    const command = shellCommand(['pmoe', 'explain', path, ...named, '--out', request.out])
    const explained = { ...explainer.shared(), images: all }
    const sheet = all.length > 1 ? await explainer.sheet(explained) : undefined
    const isNamed = opened.classNames !== undefined
    await writePages(explained, names, { ...explainer, sheet }, { path, command, out: request.out, isNamed })
    if (!request.json) process.stdout.write(`Pictures and pages in ${request.out}\n`)
  }
  refuseUnreadable(unreadable, files.length + missing.length)
}

/** How the images of one kind of model are explained. */
interface Explainer {
  /** Height and width of the model's input. */
  readonly input: Size2D
  /** One by one, in the order of the files; those that cannot be read are left out. */
  readonly images: AsyncIterable<{ readonly image: ExplainedImage; readonly file: string }>
  /** What all images have in common, once they are explained. */
  shared(): Omit<ExplainedImages, 'images'>
  /** A picture of the strongest patches of each expert. */
  sheet(explained: ExplainedImages): Promise<Buffer | undefined>
}

async function explainerOf(
  opened: OpenedModel,
  files: readonly string[],
  request: ExplainRequest,
  unreadable: UnreadableImage[],
  notes: ImageNotes,
): Promise<Explainer> {
  const options = opened.config?.model.options
  const nameOf = shortNames(files)
  if (options?.kind === 'routed')
    return regionExplainer(opened, options, files, { request, unreadable, nameOf })
  keepPatches(opened.model, 'explain', request)
  const { sensitivity } = request
  const { classNames = [] } = opened
  const decoding = decodingOf(opened)
  // Where patches are removed, the model itself computes nearly all.
  const frozen = sensitivity
    ? undefined
    : await frozenWhereFaster(opened.model, { images: files.length, routes: true })
  let rest: Omit<ExplainedImages, 'images'> = {}
  async function* images() {
    for (let first = 0; first < files.length; first += batch) {
      const decoded = await decodeFiles(files.slice(first, first + batch), decoding, unreadable, notes)
      if (decoded.length === 0) continue
      const settings = { classNames, sensitivity, frozen, nameOf }
      const { images: explained, ...shared } = await explainImages(opened, decoded, decoding, settings)
      rest = shared
      for (const [i, image] of explained.entries()) yield { image, file: decoded[i]?.path ?? '' }
    }
  }
  const [height, width] = decoding.shape
  return { input: [height, width], images: images(), shared: () => rest, sheet: expertSheet }
}

function regionExplainer(
  opened: OpenedModel,
  options: RoutedOptions,
  files: readonly string[],
  {
    request,
    unreadable,
    nameOf,
  }: {
    readonly request: ExplainRequest
    readonly unreadable: UnreadableImage[]
    readonly nameOf: (path: string) => string
  },
): Explainer {
  const model = new AnySizeModel(opened, options, 'explain', request)
  const [height, width, channels] = options.imageShape
  const { classNames, ...dataset } = { classNames: [], ...opened.config?.dataset }
  const { patch } = model.modelFor(options.imageShape).layer.grid
  const kept: (readonly KeptBoxes[])[] = []
  async function* images() {
    const asked =
      files === testImageNames && opened.config
        ? await firstImages((await loadRegions(opened.config.dataset, opened.config.seed)).test, files.length)
        : imageFiles(model, files, dataset)
    for await (const answer of regionAnswers(model, asked, unreadable)) {
      kept.push(answer.experts)
      const image = await explainedRegions(answer, classNames, patch, nameOf(answer.path))
      yield { image, file: answer.path }
    }
  }
  return {
    input: [height, width],
    images: images(),
    shared: () => ({}),
    sheet: () => regionSheet(kept, [...patch, channels]),
  }
}

function commonFiles(common: readonly string[]): string[] {
  return common.length > 0 ? ['index.html', 'experts.png'] : []
}

/** Names files: each by its name alone where no other file has that name, else by its path. */
function shortNames(paths: readonly string[]): (path: string) => string {
  const counts = new Map<string, number>()
  for (const path of paths) counts.set(basename(path), (counts.get(basename(path)) ?? 0) + 1)
  return path => (counts.get(basename(path)) === 1 ? basename(path) : path)
}

interface Provenance {
  readonly path: string
  readonly command: string
  readonly out: string
  /** Whether the classes have names. */
  readonly isNamed: boolean
}

async function writePages(
  explained: ExplainedImages,
  names: readonly string[],
  { input, sheet }: { readonly input: Size2D; readonly sheet: Buffer | undefined },
  { path, command, out, isNamed }: Provenance,
): Promise<void> {
  await makeFolder(out)
  const { images, field, grid } = explained
  const settings: [string, string][] = [['model', path]]
  if (grid) settings.push(['patches', grid.join('x')])
  if (!isNamed) settings.push(['classes', 'outputs numbered from 0; --class-names names them'])
  const common = { settings, command, input, ...(field && { field }) }
  for (const [i, image] of images.entries()) {
    const svg = explanationFigure(image, 'explained')
    await writeFileAtomic(join(out, `${names[i]}.png`), await sharp(Buffer.from(svg)).png().toBuffer())
    const page = explanationPage({ title: image.name, images: [image], ...common })
    await writeFileAtomic(join(out, `${names[i]}.html`), page)
  }
  if (images.length === 1) return
  if (sheet) await writeFileAtomic(join(out, 'experts.png'), sheet)
  const title = `${images.length} images`
  const index = { title, images, ...common, ...(sheet && { expertSheet: 'experts.png' }) }
  await writeFileAtomic(join(out, 'index.html'), explanationPage(index))
}

function checkOutputs({ out, force }: ExplainRequest, outputs: readonly string[]): void {
  const existing = outputs.find(name => existsSync(join(out, name)))
  if (existing !== undefined && !force) {
    throw new UsageError(
      `explain: --out must not hold the pictures yet, got ${join(out, existing)} (replace it with --force)`,
    )
  }
}

/** @param output path of the page, without its ending */
function sentence(
  { name, classes: [best], grid, experts, choices, sensitivity, regions }: ExplainedImage,
  output: string,
): string {
  const verdict = `${printableName(name)}: ${printableName(best?.name ?? '')} ${percent(best?.probability ?? Number.NaN)}`
  const chosen = (choices ?? []).map(choice => `; by ${printableName(chosenText(choice))}`).join('')
  if (regions) {
    const count = regions.reduce((sum, { boxes }) => sum + boxes.length, 0)
    return `${verdict}; read ${count} patches; ${output}.html`
  }
  if (!grid)
    return choices ? `${verdict}${chosen}; ${output}.html` : `${verdict}; the model keeps every patch`
  const numKept = new Set(experts.flatMap(({ patches }) => patches)).size
  const losses = Array.from(sensitivity ?? [])
  const mostSensitive = losses.indexOf(Math.max(...losses))
  const sensitivityText =
    losses.length === 0
      ? ''
      : `; without patch ${mostSensitive} it loses ${percent(losses[mostSensitive] ?? Number.NaN)}`
  return `${verdict}${chosen}; ${numKept} of ${grid[0] * grid[1]} patches kept${sensitivityText}; ${output}.html`
}

function jsonLine({ uri: _, size: __, ...image }: ExplainedImage, path: string): string {
  const { sensitivity, regions } = image
  return JSON.stringify({
    image: path,
    ...image,
    ...(sensitivity && { sensitivity: Array.from(sensitivity) }),
    ...(regions && { regions: regions.map(({ crops: _, ...region }) => region) }),
  })
}
