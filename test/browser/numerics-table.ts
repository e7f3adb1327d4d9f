/**
 * Computes the same layers and trainings on every backend of Node, and of a page of Chromium, compares them with plain JavaScript,
 * and writes the table into docs/gpu.md.
 *
 * Usage: npx tsx test/browser/numerics-table.ts [--threads]
 *
 * --threads measures, in place of that, how much faster two threads of WebAssembly train in a page than one.
 */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import type { Browser } from 'playwright-core'
import type * as job from './numerics-job.js'
import { builtModules, launchChromium, openPage, type PageServer, servePages } from './pages.js'

const note = fileURLToPath(new URL('../../docs/gpu.md', import.meta.url))
const [begin, end] = ['<!-- numerics: written by test/browser/numerics-table.ts -->', '<!-- /numerics -->']
const driver = '/usr/lib/chromium/vk_swiftshader_icd.json'
const wasmPaths = '/tensorflow/tfjs-backend-wasm/dist/'

/** A page with the job, which asks for a backend with as many threads as are said. */
async function inPage<Result>(
  browser: Browser,
  address: string,
  backend: { readonly name: string; readonly threads?: number },
  task: 'computedNumbers' | 'stepTimes',
): Promise<{ reason: string; result: Result }> {
  const { tab } = await openPage(browser, address)
  try {
    return await tab.evaluate(
      async ([{ name, threads }, asked, paths]) => {
        // tfjs takes half of the processors that the browser tells of.
        if (threads) Object.defineProperty(navigator, 'hardwareConcurrency', { value: 2 * threads })
        const { useBackend, ...tasks } = (await import('/patch-moe/numerics-job.js' as string)) as typeof job
        const { reason } = await useBackend(name as 'wasm', { wasmPaths: paths, ...(threads && { threads }) })
        return { reason, result: (await tasks[asked](8)) as never }
      },
      [backend, task, wasmPaths] as const,
    )
  } finally {
    await tab.close()
  }
}

/** What a backend of Node computes; undefined, with the reason printed, where it is not there. */
async function inNode(backend: string, env: Readonly<Record<string, string>>) {
  const program = fileURLToPath(new URL('numerics-in-node.ts', import.meta.url))
  const child = spawn(process.execPath, ['--import', 'tsx', program, backend], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let [out, err] = ['', '']
  child.stdout.on('data', text => {
    out += text
  })
  child.stderr.on('data', text => {
    err += text
  })
  const code = await new Promise(resolve => child.on('close', resolve))
  if (code === 0) return JSON.parse(out) as { reason: string; numbers: job.ComputedNumbers }
  console.log(`${backend} in Node: ${err.trim().split('\n').at(-1)}`)
  return undefined
}

/** The largest difference, as a share of the largest of the right numbers, 1 at least. */
function distance(are: readonly number[], should: readonly number[]): number {
  const scale = should.reduce((most, value) => Math.max(most, Math.abs(value)), 1)
  return are.reduce((most, value, i) => Math.max(most, Math.abs(value - (should[i] as number)) / scale), 0)
}

function row(name: string, are: job.ComputedNumbers, should: job.ComputedNumbers): string {
  const answers = are.layers.map(([output], i) =>
    distance(output as number[], should.layers[i]?.[0] as number[]),
  )
  const derivatives = are.layers.flatMap(([, ...others], i) =>
    others.map((values, j) => distance(values, should.layers[i]?.[j + 1] as number[])),
  )
  const trainings = (['twoLayer', 'wide'] as const).flatMap(kind =>
    (['losses', 'says'] as const).map(what =>
      distance(are.trainings[kind][what], should.trainings[kind][what]),
    ),
  )
  const cells = [Math.max(...answers), Math.max(...derivatives), ...trainings]
  return `| ${name} | ${cells.map(cell => (cell === 0 ? '0' : cell.toExponential(1))).join(' | ')} |`
}

async function numericsTable(browser: Browser, server: PageServer, folder: string): Promise<string> {
  // Of Chromium's libraries the loader alone: its folder has others that would be taken, too.
  await symlink('/usr/lib/chromium/libvulkan.so.1', join(folder, 'libvulkan.so.1'))
  const software = existsSync(driver) ? { VK_DRIVER_FILES: driver, LD_LIBRARY_PATH: folder } : {}
  const reference = await inNode('cpu', {})
  if (!reference) throw new Error('cpu must compute in Node, got nothing')
  const rows: string[] = []
  const add = (name: string, numbers: job.ComputedNumbers) => {
    rows.push(row(name, numbers, reference.numbers))
    console.log(rows.at(-1))
  }
  for (const backend of ['wasm', 'tensorflow', 'webgpu-software']) {
    const told = await inNode(backend, backend === 'webgpu-software' ? software : {})
    if (told) add(`Node, ${backend}`, told.numbers)
  }
  const pages = [
    { name: 'wasm' },
    { name: 'wasm', threads: 2 },
    { name: 'webgl-software' },
    { name: 'webgpu-software' },
  ]
  for (const backend of pages) {
    const { result } = await inPage<job.ComputedNumbers>(browser, server.isolated, backend, 'computedNumbers')
    add(`page, ${backend.name}${backend.threads ? `, ${backend.threads} threads` : ''}`, result)
  }
  const layers = reference.numbers.layers.length
  const head = ['', 'answers', 'derivatives', 'two-layer: losses', 'says', 'WRN-10-1: losses', 'says']
  return [
    `Largest differences from plain JavaScript in Node, as a share of the largest number of their tensor (at least 1): ${layers} layers of mixtures with every gate, border, pre-activation and size; three steps of a two-layer mixture and of a WRN-10-1 with one, and what each then says of 24 images. WebGPU and WebGL compute in software (SwiftShader).`,
    '',
    `| ${head.join(' | ')} |`,
    `|${head.map(() => '---').join('|')}|`,
    ...rows,
  ].join('\n')
}

/** Median step times of one and two threads, measured in turn. */
async function threadsText(browser: Browser, server: PageServer): Promise<string> {
  const times: Record<1 | 2, number[]> = { 1: [], 2: [] }
  for (const round of [0, 1, 2]) {
    for (const threads of round % 2 === 0 ? ([1, 2] as const) : ([2, 1] as const)) {
      const backend = { name: 'wasm', threads }
      const { reason, result } = await inPage<number[]>(browser, server.isolated, backend, 'stepTimes')
      // The first step compiles; the last one is told of when it was over.
      const later = result.slice(1, -1)
      times[threads].push(...later)
      console.log(`${reason}: ${later.map(time => time.toFixed(0)).join(', ')} ms`)
    }
  }
  const [one, two] = [median(times[1]), median(times[2])]
  return `1 thread ${one.toFixed(0)} ms, 2 threads ${two.toFixed(0)} ms a step: ${(two / one).toFixed(2)}`
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] as number
}

const folder = await mkdtemp(join(tmpdir(), 'numerics-'))
const browser = await launchChromium()
try {
  await builtModules(folder)
  const entry = fileURLToPath(new URL('numerics-job.ts', import.meta.url))
  const bundle = { bundle: true, splitting: true, format: 'esm', ignoreAnnotations: true } as const
  await build({
    ...bundle,
    entryPoints: [entry],
    outdir: folder,
    external: ['@tensorflow/*'],
    logLevel: 'warning',
  })
  const server = await servePages(folder)
  if (process.argv.includes('--threads')) console.log(await threadsText(browser, server))
  else {
    const table = await numericsTable(browser, server, folder)
    const text = await readFile(note, 'utf8')
    const [before, after] = [text.indexOf(begin), text.indexOf(end)]
    if (before < 0 || after < before)
      throw new Error(`${note} must have ${begin} and ${end}, got neither or one`)
    await writeFile(note, `${text.slice(0, before + begin.length)}\n${table}\n${text.slice(after)}`)
  }
  server.close()
} finally {
  await browser.close()
  await rm(folder, { recursive: true, force: true })
}
