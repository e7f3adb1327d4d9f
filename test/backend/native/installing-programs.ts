import { mkdir, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { ProgramError, type Run } from '../../../src/backend/native/run-program.js'
import type { TrialResult } from '../../../src/backend/native/trial-program.js'

const manifest = {
  version: '4.22.0',
  dependencies: { '@tensorflow/tfjs': '4.22.0', progress: '^2.0.0' },
  binary: { host: 'https://addons.example', remote_path: './napi-v{napi_build_version}/{version}/' },
}

/** What each program leaves on the disk when it works. */
const programs: Record<string, FakeProgram> = {
  'npm pack': async args => {
    await writeFile(join(argument(args, '--pack-destination'), 'tfjs.tgz'), '')
    return 'tfjs.tgz\n'
  },
  'tar -xzf': async args => {
    const target = argument(args, '-C')
    await mkdir(join(target, 'binding'))
    await writeFile(join(target, 'binding/one.cc'), '')
    await writeFile(join(target, 'package.json'), JSON.stringify(manifest))
    return ''
  },
  'npm install': async (_, cwd) => {
    await mkdir(join(cwd, 'node_modules/node-api-headers/include'), { recursive: true })
    return ''
  },
  'node scripts/get-addon-name.js': async () => 'CPU-linux-4.22.0.tar.gz\n',
  'python3 -m pip --version': async () => 'pip 24',
  'python3 -m pip download': async args => {
    await mkdir(argument(args, '--dest'))
    await writeFile(join(argument(args, '--dest'), 'tensorflow.whl'), '')
    return ''
  },
  'python3 -c': async args => {
    const unpacked = join(args[3] ?? '', 'tensorflow')
    await mkdir(join(unpacked, 'include'), { recursive: true })
    for (const name of ['cc', 'framework'])
      await writeFile(join(unpacked, `libtensorflow_${name}.so.2`), name)
    return ''
  },
  'c++ --version': async () => 'c++ 12',
  'c++ -std=c++17': async args => {
    await writeFile(argument(args, '-o'), 'addon')
    return ''
  },
  'npm run': async (_, cwd) => {
    await mkdir(join(cwd, 'lib/napi-v8'), { recursive: true })
    await writeFile(join(cwd, 'lib/napi-v8/tfjs_binding.node'), 'published')
    return ''
  },
  'node --import': async () => trialReport({}),
}

/** What the process of a trial prints. */
export function trialReport(rest: Partial<TrialResult>): string {
  const right = { version: '2.21.0', usesGpu: false, product: [19, 22, 43, 50], convolution: [4, 4, 4, 4] }
  return `\n${JSON.stringify({ report: { ...right, ...rest } })}\n`
}

/** The word after a flag. */
export function argument(args: readonly string[], name: string): string {
  return args[args.indexOf(name) + 1] ?? ''
}

/** What a program does in a test. */
export type FakeProgram = (args: readonly string[], cwd: string) => Promise<string>

/**
 * Runs the programs above.
 *
 * @param calls gets the line of every call
 * @param broken what a call that starts with a key says when it fails
 * @param others what takes the place of the programs above, by how a call starts
 */
export function fakeRun(
  calls: string[],
  broken: Readonly<Record<string, string>> = {},
  others: Readonly<Record<string, FakeProgram>> = {},
): Run {
  return async (command, args, { cwd = '', signal }) => {
    const call = [basename(command), ...args].join(' ')
    calls.push(call)
    signal?.throwIfAborted()
    for (const [start, says] of Object.entries(broken))
      if (call.startsWith(start)) throw new ProgramError(says, says)
    const table = [...Object.entries(others), ...Object.entries(programs)]
    const [, program] = table.find(([start]) => call.startsWith(start)) ?? []
    if (!program) throw new ProgramError(`${command} cannot be run: spawn ${command} ENOENT`)
    return program(args, cwd)
  }
}
