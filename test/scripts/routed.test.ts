import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { callPmoe, jsonLines } from './run-pmoe.js'

let root: string
const at = (name: string) => join(root, name)
const wasm = ['--backend', 'wasm']
const small = [
  '--dataset',
  'megapixel-digits',
  '--model',
  'routed',
  '--samples',
  '40',
  '--test-samples',
  '10',
]
const sizes = ['--image-size', '64x48', '--strokes', '3', '--patches-per-expert', '4', '--batch-size', '20']

async function pmoe(...words: string[]): Promise<string> {
  const { code, out, err } = await callPmoe(words)
  expect({ code, err }).toEqual({ code: 0, err: '' })
  return out
}

/** Two grey squares of different brightness on a picture. */
async function photograph(path: string, height: number, width: number, colour: string): Promise<void> {
  const square = `<rect x="${width / 2}" y="${height / 3}" width="20" height="20" fill="${colour}"/>`
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}"><rect width="100%" height="100%" fill="#345"/>${square}</svg>`
  await sharp(Buffer.from(svg)).jpeg().toFile(path)
}

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'pmoe-'))
  for (const [name, colour] of [
    ['bright', '#fff'],
    ['dark', '#000'],
  ] as const) {
    await mkdir(join(at('photos'), name), { recursive: true })
    for (let i = 0; i < 5; i++) {
      await photograph(join(at('photos'), name, `${i}.jpg`), 90 + 10 * i, 120, colour)
    }
  }
  const cells = ['--cell-size', '16', '--view-scale', '4', '--patches-per-expert', '2', '--epochs', '1']
  const flags = ['--dataset', 'image-folder', '--data', at('photos'), '--model', 'routed', ...cells, ...wasm]
  // A click on each of the squares: they are in the middle, a third of the height down.
  const clicks = ['dark', 'bright'].flatMap(name =>
    [1, 2, 3, 4].map(i => `${name}/${i}.jpg,${Math.round((90 + 10 * i) / 3) + 5},65,1,1`),
  )
  await writeFile(join(at('photos'), 'clicks.csv'), ['image,top,left,height,width', ...clicks].join('\n'))
  const taught = ['--boxes', 'clicks.csv', '--teach-epochs', '2']
  expect(await pmoe('train', ...flags, ...taught, '--out', at('photo-run'))).toContain('routers 2/2')
  await pmoe('train', ...small, ...sizes, '--epochs', '1', ...wasm, '--out', at('run'))
})

afterAll(() => rm(root, { recursive: true, force: true }))

test.each([
  ['evaluate', 'evaluate: --test-flips must be left out for a model that reads images in parts, got it with'],
  [
    'predict',
    'predict: --test-flips must be left out for a model that reads images in parts, got it with model routed',
  ],
])('%s of it refuses to see images mirrored as well', async (command, message) => {
  const images = command === 'predict' ? [join(at('photos'), 'dark', '0.jpg')] : []
  const { code, err } = await callPmoe([command, at('photo-run'), ...images, ...wasm, '--test-flips'])
  expect(code).toBe(2)
  expect(err).toContain(message)
})

test('a network that reads images in parts is trained by its recipe, and recall is measured', async () => {
  const config = JSON.parse(await readFile(join(at('run'), 'config.json'), 'utf8'))
  expect(config.dataset).toMatchObject({ maxShift: 4 })
  expect(config.model).toEqual({
    name: 'routed',
    options: {
      kind: 'routed',
      numExperts: 1,
      patchesPerExpert: 4,
      cellSize: 8,
      margin: 4,
      viewScale: 2,
      imageShape: [64, 48, 1],
    },
  })
  expect(config.training).toMatchObject({
    optimizer: 'adam',
    learningRate: 3e-3,
    schedule: 'cosine',
    clipNorm: 1,
  })
  const [epoch] = jsonLines(await readFile(join(at('run'), 'metrics.jsonl'), 'utf8'))
  expect(epoch).toHaveProperty('evaluatedKept.recall')
})

test('a resumed run computes what an uninterrupted one does, moved images included', async () => {
  const constant = ['--schedule', 'constant', ...wasm]
  await pmoe('train', ...small, ...sizes, '--epochs', '1', ...constant, '--out', at('part'))
  await pmoe('train', ...small, ...sizes, '--epochs', '2', ...constant, '--out', at('whole'))
  await pmoe('train', '--resume', '--epochs', '2', '--out', at('part'))
  const [resumed, whole] = await Promise.all(
    ['part', 'whole'].map(async name => jsonLines(await readFile(join(at(name), 'metrics.jsonl'), 'utf8'))),
  )
  const numbers = (epochs: typeof resumed) =>
    epochs?.map(({ trainLoss, testLoss, kept }) => ({ trainLoss, testLoss, kept }))
  expect(resumed).toHaveLength(2)
  expect(numbers(resumed)).toEqual(numbers(whole))
})

describe('a trained run', () => {
  test('is evaluated with recall and the cost of kept patches alone', async () => {
    const record = JSON.parse(await pmoe('evaluate', at('run'), ...wasm, '--json'))
    expect(record).toMatchObject({ count: 10, kept: { recall: expect.any(Number) } })
    const fewer = await pmoe('evaluate', at('run'), ...wasm, '--json', '--patches-per-expert', '2')
    expect(JSON.parse(fewer).multiplyAdds).toBeLessThan(record.multiplyAdds)
  })

  test('predicts images of any size, on its own canvas or a larger grid', async () => {
    await photograph(at('small.jpg'), 40, 30, '#fff')
    await photograph(at('large.jpg'), 100, 200, '#fff')
    const out = await pmoe('predict', at('run'), at('small.jpg'), at('large.jpg'), ...wasm, '--json')
    const [first, second] = jsonLines(out) as unknown as [Answer, Answer]
    expect([first.grid, second.grid]).toEqual([
      [8, 6],
      [13, 25],
    ])
    for (const { probabilities, experts } of [first, second]) {
      expect(Object.values(probabilities).reduce((sum, value) => sum + value)).toBeCloseTo(1, 5)
      expect(experts[0]?.gates.reduce((sum, value) => sum + value)).toBeCloseTo(1, 5)
      expect(experts[0]?.boxes).toHaveLength(4)
    }
    // The only thing on the photograph begins at row 33, column 100.
    const touches = second.experts[0]?.boxes.filter(
      ([top = 0, left = 0]) => top < 53 && top + 16 > 33 && left < 120 && left + 16 > 100,
    )
    expect(touches).toHaveLength(4)
  })

  test('takes an image that is high or wide alone on a canvas no smaller than its own, so that there are cells enough', async () => {
    for (const [height, width] of [
      [1, 100],
      [1, 1],
      [5, 5],
      [90, 2],
    ] as const) {
      const path = at(`${height}x${width}.png`)
      const pixels = Uint8Array.from({ length: 3 * height * width }, (_, i) => (37 * i) % 256)
      await sharp(pixels, { raw: { width, height, channels: 3 } })
        .png()
        .toFile(path)
      const out = await pmoe('predict', at('run'), path, ...wasm, '--json', '--patches-per-expert', '48')
      const [{ grid, experts }] = jsonLines(out) as unknown as [Answer]
      expect(grid).toEqual([Math.max(8, Math.ceil(height / 8)), Math.max(6, Math.ceil(width / 8))])
      expect(experts[0]?.boxes).toHaveLength(48)
    }
  })

  test('predicts the tiles of a pyramid as the one image that they are, and names a tile that is missing', async () => {
    const pixels = sharp({ create: { width: 100, height: 70, channels: 3, background: '#357' } })
    await pixels.tile({ size: 32, layout: 'iiif3', id: 'here' }).toFile(at('tiles'))
    const out = await pmoe('predict', at('run'), at('tiles'), ...wasm, '--json')
    const answers = jsonLines(out) as unknown as (Answer & { image: string })[]
    expect(answers.map(({ image, grid }) => [image, grid])).toEqual([
      [join(at('tiles'), 'info.json'), [9, 13]],
    ])
    await rm(join(at('tiles'), '0,0,64,64'), { recursive: true })
    const { code, out: nothing, err } = await callPmoe(['predict', at('run'), at('tiles'), ...wasm])
    expect({ code, nothing }).toEqual({ code: 1, nothing: '' })
    expect(err).toMatch(
      /0,0,64,64.*: file must be there, got nothing there \(tile of row 0, column 0 at 1\/2\)/,
    )
  })

  test('is explained by boxes and crops, of test images where none are named', async () => {
    const out = await pmoe('explain', at('run'), ...wasm, '--out', at('explained'))
    expect(out).toContain('test-6')
    const page = await readFile(join(at('explained'), 'test-1.html'), 'utf8')
    expect(page.match(/alt="patch \d+"/g)).toHaveLength(4)
    expect(page).toContain('reads 4 patches of 16x16 pixels at full resolution')
    const { width = 0 } = await sharp(join(at('explained'), 'experts.png')).metadata()
    expect(width).toBeGreaterThan(500)
  })

  test('is exported as a network of whole images', async () => {
    const onnx = await pmoe('export', at('run'), '--format', 'onnx', ...wasm, '--out', at('model.onnx'))
    expect(onnx).toContain('the largest is the same in all')
    const words = ['--format', 'onnx', '--quantize', 'int8', ...wasm, '--out', at('small.onnx')]
    const { code, err } = await callPmoe(['export', at('run'), ...words])
    expect({ code, err }).toEqual({ code: 2, err: expect.stringContaining('--quantize must be left out') })
  })
})

describe('a run of model routed', () => {
  test.each([
    [['bound'], 'bound: the bound must be of a mixture in a network of whole images'],
    [
      ['prune', '--criterion', 'all'],
      'prune: experts must be those of a mixture in a network of whole images',
    ],
    [
      ['prune', '--criterion', 'random', '--keep', '1', '--out', 'never'],
      'prune: experts must be those of a mixture in a network of whole images',
    ],
    [['plan'], 'plan: network must take whole images (--model routed --image-size plans the others)'],
    [['plan', '--measure'], 'plan: --measure must be for a network of whole images'],
  ])('is refused by %j, which says what takes it', async ([command = '', ...flags], message) => {
    const { code, out, err } = await callPmoe([command, at('run'), ...flags, ...wasm])
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(err).toBe(
      `pmoe: ${message}, got ${at('run')} of model routed, which reads images in parts ` +
        '(evaluate, predict, explain, export and train --resume take it)\n',
    )
  })

  test('is no beginning for a network of whole images', async () => {
    const words = ['train', '--init', at('run'), '--dataset', 'digits-patches', ...wasm, '--out', at('never')]
    const { code, err } = await callPmoe(words)
    expect({ code, err }).toEqual({
      code: 2,
      err: expect.stringContaining('train: --init must be a network of whole images, got'),
    })
  })

  test('is measured by bench once it is exported', async () => {
    const { code, err } = await callPmoe([
      'bench',
      at('run'),
      '--backend',
      'wasm',
      '--runs',
      '1',
      '--rounds',
      '1',
    ])
    expect(code).toBe(1)
    expect(err).toContain('1 of 1 measurements failed')
  })

  test('gets weights by import as a network of whole images, which can be exported', async () => {
    const [weights, imported, onnx] = [at('weights.safetensors'), at('imported'), at('imported.onnx')]
    await pmoe('export', at('run'), '--format', 'weights', ...wasm, '--out', weights)
    await pmoe('import', weights, '--into', at('run'), ...wasm, '--out', imported)
    expect(await pmoe('export', imported, '--format', 'onnx', ...wasm, '--out', onnx)).toContain(
      'the largest is the same in all',
    )
  })

  test('goes on for more epochs only where nothing follows their number, and a refusal changes nothing', async () => {
    const config = () => readFile(join(at('run'), 'config.json'), 'utf8')
    const before = await config()
    const { code, err } = await callPmoe(['train', '--resume', '--out', at('run'), '--epochs', '4'])
    expect({ code, err }).toEqual({
      code: 2,
      err: expect.stringContaining(
        `train: --epochs must stay 1 for ${at('run')}, whose learning rate or prior follows the length of the training, got 4`,
      ),
    })
    expect(await config()).toBe(before)
    expect(await pmoe('train', '--resume', '--out', at('run'))).toContain('Done')
  })
})

interface Answer {
  readonly grid: readonly [number, number]
  readonly probabilities: Readonly<Record<string, number>>
  readonly experts: readonly { readonly gates: number[]; readonly boxes: (readonly number[])[] }[]
}

test('a folder of photographs of several sizes is trained on and predicted', async () => {
  const { model } = JSON.parse(await readFile(join(at('photo-run'), 'config.json'), 'utf8'))
  expect(model.options.imageShape).toEqual([130, 120, 3])
  const out = await pmoe('predict', at('photo-run'), join(at('photos'), 'dark', '1.jpg'), ...wasm)
  expect(out).toContain('of 9x8 patches, of 24x24 pixels')
})

test('photographs with boxes are parted: those of validation images teach nothing, and a resume parts alike', async () => {
  const cells = ['--cell-size', '16', '--view-scale', '4', '--patches-per-expert', '2', '--epochs', '2']
  const flags = ['--dataset', 'image-folder', '--data', at('photos'), '--model', 'routed', ...cells, ...wasm]
  const out = at('parted-run')
  const boxes = ['--boxes', 'clicks.csv', '--teach-epochs', '1']
  const text = await pmoe('train', ...flags, ...boxes, '--validation', '0.25', '--out', out)
  expect(text).toContain('Validation: 2 of the 8 training images, a share of 0.25 of each class.')
  expect(text).toContain('routers 1/1')
  expect(text).toMatch(/weights of epoch [12] kept \(validation loss/)
  const { validationLoss } = JSON.parse(
    (await readFile(join(out, 'metrics.jsonl'), 'utf8')).trim().split('\n').at(-1) as string,
  )
  expect(validationLoss).toBeGreaterThan(0)
  expect(await pmoe('train', '--resume', '--out', out)).toContain('Done')
})

test('a folder whose photographs have changed does not go on, and can once they are back', async () => {
  const photos = at('photos')
  const config = () => readFile(join(at('photo-run'), 'config.json'), 'utf8')
  const before = await config()
  const resume = ['train', '--resume', '--out', at('photo-run'), '--epochs', '1']
  await photograph(join(photos, 'bright', '5.jpg'), 90, 120, '#fff')
  const more = await callPmoe(resume)
  expect({ code: more.code, err: more.err }).toEqual({
    code: 2,
    err: expect.stringContaining(`training images must be 8, as at the start of ${at('photo-run')}, got 9`),
  })
  await rm(join(photos, 'bright', '5.jpg'))
  await photograph(join(photos, 'dark', '4.jpg'), 150, 120, '#000')
  const larger = await callPmoe(resume)
  expect({ code: larger.code, err: larger.err }).toEqual({
    code: 2,
    err: expect.stringContaining(
      `images must be 130x120x3, as at the start of ${at('photo-run')}, got 150x120x3`,
    ),
  })
  await photograph(join(photos, 'dark', '4.jpg'), 130, 120, '#000')
  expect(await config()).toBe(before)
  expect(await pmoe(...resume)).toContain('Done')
})

describe('prepared images', () => {
  test('are read in parts, and train as the same images that are drawn', async () => {
    const drawn = ['--image-size', '64x48', '--strokes', '3']
    const counts = ['--samples', '40', '--test-samples', '10']
    await pmoe('data', 'prepare', 'megapixel-digits', ...drawn, ...counts, '--out', at('prepared'))
    const flags = [...small, '--patches-per-expert', '4', '--batch-size', '20', '--epochs', '1', ...wasm]
    await pmoe('train', ...flags, '--data', at('prepared'), '--out', at('prepared-run'))
    const [expected, found] = await Promise.all(
      ['run', 'prepared-run'].map(async name =>
        jsonLines(await readFile(join(at(name), 'metrics.jsonl'), 'utf8')),
      ),
    )
    const numbers = (epochs: typeof found) => epochs?.map(({ trainLoss, testLoss }) => [trainLoss, testLoss])
    expect(numbers(found)).toEqual(numbers(expected))
    const config = JSON.parse(await readFile(join(at('prepared-run'), 'config.json'), 'utf8'))
    expect(config.dataset).toMatchObject({ imageSize: [64, 48], strokes: 3, data: at('prepared') })
    expect(JSON.parse(await pmoe('evaluate', at('prepared-run'), ...wasm, '--json'))).toMatchObject({
      count: 10,
    })
    const other = await callPmoe([
      'train',
      ...flags,
      '--data',
      at('prepared'),
      '--strokes',
      '4',
      '--out',
      at('never'),
    ])
    expect({ code: other.code, err: other.err }).toEqual({
      code: 2,
      err: expect.stringContaining(
        'strokes must be what the images were prepared with, 3, got 4 (pmoe data prepare takes --strokes)',
      ),
    })
    const boxed = ['train', ...flags, '--data', at('prepared'), '--boxed-images', '4', '--out', at('never')]
    expect(await callPmoe(boxed)).toMatchObject({
      code: 2,
      err: expect.stringContaining(
        `--boxed-images must come with images that have boxes, got ${at('prepared')} (prepared images have none`,
      ),
    })
  })

  test('may keep their size, on the canvas of the largest', async () => {
    await pmoe(
      'data',
      'prepare',
      'image-folder',
      '--data',
      at('photos'),
      '--unscaled',
      '--out',
      at('unscaled'),
    )
    expect(await pmoe('data', 'inspect', at('unscaled'), '--out', at('sheets'))).toContain('130x120x3')
    await pmoe('data', 'verify', at('unscaled'))
    const cells = ['--cell-size', '16', '--view-scale', '4', '--patches-per-expert', '2', '--epochs', '1']
    const flags = [
      '--dataset',
      'image-folder',
      '--data',
      at('unscaled'),
      '--model',
      'routed',
      ...cells,
      ...wasm,
    ]
    await pmoe('train', ...flags, '--out', at('unscaled-run'))
    const { model } = JSON.parse(await readFile(join(at('unscaled-run'), 'config.json'), 'utf8'))
    expect(model.options.imageShape).toEqual([130, 120, 3])
    expect(await pmoe('predict', at('unscaled-run'), join(at('photos'), 'dark', '1.jpg'), ...wasm)).toContain(
      'of 9x8 patches, of 24x24 pixels',
    )
  })

  test('keep their size where they have several', async () => {
    const words = ['data', 'prepare', 'megapixel-digits', '--unscaled', '--out', at('never')]
    const { code, err } = await callPmoe(words)
    expect({ code, err }).toEqual({
      code: 2,
      err: expect.stringContaining(
        'data prepare: --unscaled must be for image-folder, whose images have several sizes, got megapixel-digits',
      ),
    })
  })
})

test('plan counts an image of any size', async () => {
  const out = await pmoe('plan', '--model', 'routed', '--image-size', '300x400', ...wasm, '--json')
  const { cells, multiplyAdds } = JSON.parse(out)
  // Cells of 16 pixels: there are about 32 along the longer side.
  expect(cells).toEqual([19, 25])
  expect(multiplyAdds.routed).toBeLessThan(multiplyAdds.dense)
})

describe('what cannot be done', () => {
  const inParts = 'with model routed, which reads images in parts, which are moved alone (--max-shift)'
  test.each([
    [['--cell-size', '10', '--view-scale', '4'], '--view-scale must divide --cell-size, got 4'],
    [['--margin', '9'], '--margin must be an integer in [0, 4], half a cell, got 9'],
    [['--patches-per-expert', '1000'], '--patches-per-expert must be an integer in [1, 256], got 1000'],
    [
      ['--gate', 'raw'],
      '--gate must be one of product, softmax-selected, softmax-all, uniform with model routed',
    ],
    [['--flip'], `train: --flip must be left out ${inParts}`],
    [['--jitter', '0.4'], `train: --jitter must be left out ${inParts}`],
    [['--augment', 'light'], `train: --augment must be left out ${inParts}`],
    [['--balance', 'class'], 'train: --balance must be used with wrn, wrn-pmoe'],
    [['--max-shift', '128'], '--max-shift must be an integer in [0, 127], got 128'],
    [['--optimizer', 'sgd', '--momentum', '0.5'], '--momentum must be left out for sgd, got 0.5'],
  ])('exit 2: %j', async (words, message) => {
    const { code, err } = await callPmoe(['train', ...small, ...words, ...wasm, '--out', at('never')])
    expect({ code, err }).toEqual({ code: 2, err: expect.stringContaining(message) })
  })

  test.each([
    [[], '--model routed must come with --image-size, got none'],
    [
      ['--image-size', '30x400', '--cell-size', '64'],
      'image must be at least as large as a patch, 96x96 pixels, got 30x400',
    ],
    [
      ['--image-size', '300x400', '--cell-size', '64', '--patches-per-expert', '36'],
      '--patches-per-expert must be an integer in [1, 35], got 36',
    ],
    [
      ['--image-size', '300x400', '--cell-size', '64', '--margin', '33'],
      '--margin must be an integer in [0, 32], half a cell, got 33',
    ],
    [
      ['--image-size', '300x400', '--cell-size', '64', '--view-scale', '7'],
      '--view-scale must divide --cell-size, got 7',
    ],
    [
      ['--image-size', '300x400', '--patch-size', '3'],
      '--patch-size must be left out with --model routed, which has --cell-size, got 3',
    ],
    [
      ['--image-size', '300x400', '--measure'],
      '--measure must be for the folder of a run, got --model routed',
    ],
    [
      ['--image-size', '300x400', '--picture', 'a.svg'],
      '--picture must come with --measure, got a.svg alone',
    ],
    [['--image-size', '300x400', 'some/run'], '--model routed must come without a model, got some/run'],
  ])('exit 2: plan --model routed %j', async (words, message) => {
    const { code, out, err } = await callPmoe(['plan', '--model', 'routed', ...words, ...wasm])
    expect({ code, out, err }).toEqual({ code: 2, out: '', err: expect.stringContaining(message) })
  })

  test.each(['--image-size=9x9', '--cell-size=8', '--view-scale=2', '--margin=1'])(
    'exit 2: plan of a model with %s',
    async flag => {
      const { code, err } = await callPmoe(['plan', at('run'), flag, ...wasm])
      const [name] = flag.split('=')
      expect({ code, err }).toEqual({
        code: 2,
        err: expect.stringContaining(`plan: ${name} must be used with --model routed, got ${at('run')}`),
      })
    },
  )

  test('other networks have no cells, other datasets no parts', async () => {
    const wide = ['--dataset', 'megapixel-digits', '--model', 'wrn', '--cell-size', '8']
    const cifar = ['--dataset', 'fashion-quadrants', '--model', 'routed']
    for (const [words, message] of [
      [wide, 'train: --cell-size must be used with routed, got model wrn'],
      [cifar, '(which is for image-folder, megapixel-digits, megapixel-fashion)'],
    ] as const) {
      const { code, err } = await callPmoe(['train', ...words, ...wasm, '--out', at('never')])
      expect({ code, err }).toEqual({ code: 2, err: expect.stringContaining(message) })
    }
  })
})
