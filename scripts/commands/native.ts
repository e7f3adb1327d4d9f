import { Command } from 'commander'
import { nativeFolder, providedCandidate } from '../../src/backend/native/native.js'
import { type ProvideNativeOptions, provideNative } from '../../src/backend/native/provide-native.js'
import { printable } from '../../src/report/escape.js'
import { withControlCharacters } from '../terminal/safe-output.js'

/** `pmoe native`: provides native TensorFlow. */
export function nativeCommand(): Command {
  return new Command('native')
    .description('provide native TensorFlow: published where its host answers, compiled otherwise')
    .option('--gpu', 'a build that computes on an NVIDIA GPU (Linux x64; CUDA_VISIBLE_DEVICES chooses)')
    .option('--dir <folder>', 'the folder to fill (PATCH_MOE_NATIVE, or .native in this package)')
    .option('--force', 'provide it anew')
    .action(async (options: { gpu?: true; dir?: string; force?: true }) => {
      const stopped = new AbortController()
      const stop = (): void => stopped.abort(new Error('stopped; nothing was left behind'))
      const signals = ['SIGINT', 'SIGTERM'] as const
      for (const signal of signals) process.on(signal, stop)
      try {
        await provide({ ...options, signal: stopped.signal })
      } finally {
        for (const signal of signals) process.off(signal, stop)
      }
    })
}

async function provide(options: ProvideNativeOptions): Promise<void> {
  const started = performance.now()
  const line = stageLine(process.stderr)
  try {
    const { already, device, folder, source, tensorflow } = await provideNative({
      ...options,
      onStage: line.show,
    })
    line.clear()
    const seconds = `${((performance.now() - started) / 1000).toFixed(0)} s`
    const done = already ? 'is there already' : `was provided in ${seconds}`
    const computing = device === undefined ? '' : ` and computes on ${device}`
    console.log(`TensorFlow ${tensorflow} (${source}) ${done}${computing}: ${folder}`)
  } catch (error) {
    line.clear()
    console.error(`pmoe native: ${(error as Error).message}`)
    const earlier = providedCandidate(options.dir ?? nativeFolder())
    if (earlier)
      console.error(`TensorFlow ${earlier.provided.tensorflow} in ${earlier.folder} stays as it was.`)
    process.exitCode = 1
  }
}

/** Shows the current stage: one line that is rewritten on a terminal, a line each elsewhere. */
function stageLine(stream: NodeJS.WriteStream): { show(stage: string): void; clear(): void } {
  if (!stream.isTTY) return { show: stage => void stream.write(`${stage}\n`), clear: () => {} }
  const terminal = withControlCharacters(stream)
  const frames = ['-', '\\', '|', '/']
  let text = ''
  let tick = 0
  let timer: NodeJS.Timeout | undefined
  const draw = (): void => {
    // A line that wraps could not be rewritten.
    const line = printable(text).slice(0, (stream.columns || 80) - 3)
    terminal.write(`\r\x1b[K${frames[tick++ % frames.length]} ${line}`)
  }
  return {
    show(stage) {
      text = stage
      timer ??= setInterval(draw, 150)
      draw()
    },
    clear() {
      clearInterval(timer)
      terminal.write('\r\x1b[K')
    },
  }
}
