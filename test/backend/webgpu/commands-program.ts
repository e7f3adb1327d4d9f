import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import sharp from 'sharp'
import { exitCodeOf, program } from '../../../scripts/program.js'

/*
 * Trains on WebGPU in software twice: once to the end, once with Ctrl-C in the first epoch and the loss of the device in the second,
 * resumed after each; then predicts and explains an image, and predicts it in plain JavaScript. Prints what was left as JSON. The
 * argument is an empty folder.
 */
const folder = process.argv[2] ?? ''
const whole = join(folder, 'whole')
const broken = join(folder, 'broken')
const image = join(folder, 'image.png')

interface Called {
  readonly code: number
  readonly lines: readonly string[]
  readonly error: string
}

interface CallOptions {
  /** What happens at the first output of a text. */
  readonly interrupt?: { readonly at: string; act(): void }
  readonly backend?: string
}

/** Runs a command within this process, so that shaders are compiled once, and keeps what it prints. */
async function call(words: readonly string[], { interrupt, backend }: CallOptions = {}): Promise<Called> {
  let printed = ''
  let error = ''
  let isInterrupted = false
  const { write } = process.stdout
  const writeError = process.stderr.write
  process.stderr.write = (text: string | Uint8Array): boolean => {
    error += text
    return true
  }
  process.stdout.write = (text: string | Uint8Array): boolean => {
    printed += text
    if (interrupt && !isInterrupted && printed.includes(interrupt.at)) {
      isInterrupted = true
      interrupt.act()
    }
    return true
  }
  const all = [...words, '--json', '--backend', backend ?? 'webgpu-software']
  try {
    await program().parseAsync(all, { from: 'user' })
  } catch (thrown) {
    process.exitCode = exitCodeOf(thrown)
  } finally {
    process.stdout.write = write
    process.stderr.write = writeError
  }
  const code = Number(process.exitCode ?? 0)
  process.exitCode = 0
  return { code, lines: printed.trimEnd().split('\n'), error }
}

function loseDevice(): void {
  ;(tf.backend() as unknown as { readonly device: { destroy(): void } }).device.destroy()
}

async function leftOf(run: string): Promise<Record<string, unknown>> {
  const metrics = (await readFile(join(run, 'metrics.jsonl'), 'utf8')).trimEnd().split('\n')
  const files = (await readdir(run)).filter(name => name.includes('tfevents'))
  const events = await Promise.all(files.map(name => readFile(join(run, name), 'latin1')))
  return {
    metrics: metrics.map(line => {
      const { seconds: _, wallTime: __, ...rest } = JSON.parse(line) as Record<string, unknown>
      return rest
    }),
    weights: createHash('sha256')
      .update(await readFile(join(run, 'model/weights.bin')))
      .digest('hex'),
    // Events hold the time, which differs.
    tags: events.map(text => text.match(/\w+\/(train|test)/g)),
    eventBytes: events.map(text => text.length),
  }
}

const settings = ['--dataset', 'digits-patches', '--model', 'two-layer-pmoe', '--samples', '16']
const size = ['--test-samples', '4', '--epochs', '2', '--batch-size', '4', '--checkpoint-steps', '1']
const train = ['train', ...settings, ...size, '--optimizer', 'momentum']
const codes: Record<string, number> = {}
codes.whole = (await call([...train, '--out', whole])).code
codes.stopped = (
  await call([...train, '--out', broken], {
    interrupt: { at: '"type":"step","epoch":1,"step":2', act: () => process.emit('SIGINT') },
  })
).code
const resume = ['train', '--resume', '--out', broken]
const lost = await call(resume, { interrupt: { at: '"type":"step","epoch":2,"step":2', act: loseDevice } })
codes.lost = lost.code
codes.resumed = (await call(resume)).code
// No two patches are alike, so that none of their scores are equal.
const pixels = Uint8Array.from({ length: 28 * 28 }, (_, i) => (i * i) % 251)
await sharp(pixels, { raw: { width: 28, height: 28, channels: 1 } })
  .png()
  .toFile(image)
const predicted = await call(['predict', broken, image])
codes.predicted = predicted.code
const predictedOnCpu = await call(['predict', broken, image], { backend: 'cpu' })
const out = join(folder, 'explained')
const explained = await call(['explain', broken, image, '--out', out])
codes.explained = explained.code
const report = {
  codes,
  lost: lost.error,
  whole: await leftOf(whole),
  broken: await leftOf(broken),
  predicted: predicted.lines,
  predictedOnCpu: predictedOnCpu.lines,
  explained: explained.lines,
  pictures: (await readdir(out)).sort(),
}
console.log(JSON.stringify(report))
