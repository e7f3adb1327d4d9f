import { chmod, mkdir, mkdtemp, readdir, readFile, realpath, rename, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { provideNative } from '../../../src/backend/native/provide-native.js'
import { ProgramError, type Run } from '../../../src/backend/native/run-program.js'
import { lockFile } from '../../../src/files/lock.js'
import { startTypeScript } from '../../child-processes.js'
import { argument, fakeRun, trialReport } from './installing-programs.js'

const root = resolve(import.meta.dirname, '../../..')
let parent: string
let folder: string
let calls: string[]
let stages: string[]

beforeEach(async () => {
  parent = await realpath(await mkdtemp(join(tmpdir(), 'provide-')))
  folder = join(parent, 'native')
  calls = []
  stages = []
})

afterEach(() => rm(parent, { recursive: true }))

const runner = (broken?: Record<string, string>): Run => fakeRun(calls, broken)

const silent: typeof fetch = async () => {
  throw new TypeError('fetch failed')
}

function provide(options: Parameters<typeof provideNative>[0] = {}): ReturnType<typeof provideNative> {
  const onStage = (stage: string): void => void stages.push(stage)
  return provideNative({
    dir: folder,
    run: runner(),
    fetch: silent,
    freeBytes: async () => 1e10,
    onStage,
    ...options,
  })
}

const addon = 'node_modules/@tensorflow/tfjs-node/lib/napi-v8/tfjs_binding.node'

describe('providing it', () => {
  test('compiles where the published addon cannot be had, and leaves only what is needed', async () => {
    const provided = await provide()
    expect(provided).toEqual({
      packageName: '@tensorflow/tfjs-node',
      gpu: false,
      tensorflow: '2.21.0',
      source: 'built',
      folder,
      already: false,
    })
    expect(await readdir(parent)).toEqual(['native'])
    expect((await readdir(folder)).sort()).toEqual(['native.json', 'node_modules', 'package.json'])
    expect(await readFile(join(folder, addon), 'utf8')).toBe('addon')
    const libraries = await readdir(join(folder, 'node_modules/@tensorflow/tfjs-node/deps/lib'))
    expect(libraries.sort()).toEqual(['libtensorflow_cc.so.2', 'libtensorflow_framework.so.2'])
    expect(stages).toEqual([
      'fetching @tensorflow/tfjs-node 4.22.0',
      'asking for the published addon',
      'fetching the library of tensorflow-cpu 2.21.*',
      'unpacking the library',
      'compiling the addon',
      'trying it',
    ])
  })

  test('its tfjs is the one of this process, and is not installed a second time', async () => {
    await provide()
    const here = createRequire(import.meta.url)
    const there = createRequire(join(folder, 'node_modules/@tensorflow/tfjs-node/dist/index.js'))
    expect(there.resolve('@tensorflow/tfjs')).toBe(here.resolve('@tensorflow/tfjs'))
    expect(there.resolve('@tensorflow/tfjs-core')).toBe(here.resolve('@tensorflow/tfjs-core'))
    const { dependencies } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'))
    expect(Object.keys(dependencies)).toEqual(['progress', 'node-api-headers'])
  })

  test('a second call finds it and runs nothing; force does it anew', async () => {
    await provide()
    calls = []
    expect(await provide()).toMatchObject({ already: true, folder, tensorflow: '2.21.0' })
    expect(calls).toEqual([])
    expect(await provide({ force: true })).toMatchObject({ already: false })
    expect(await readdir(parent)).toEqual(['native'])
  })

  test('an addon that is gone is provided anew', async () => {
    await provide()
    await rm(join(folder, addon))
    expect((await provide()).already).toBe(false)
  })

  test('takes the published addon where its host has it', async () => {
    const asked: string[] = []
    const answering: typeof fetch = async (url, init) => {
      asked.push(`${init?.method} ${url}`)
      return new Response()
    }
    const provided = await provide({ fetch: answering })
    expect(asked).toEqual(['HEAD https://addons.example/napi-v8/4.22.0/CPU-linux-4.22.0.tar.gz'])
    expect(provided.source).toBe('official')
    expect(await readFile(join(folder, addon), 'utf8')).toBe('published')
    expect(calls.some(call => call.startsWith('python3'))).toBe(false)
  })

  test('compiles where the published addon does not install', async () => {
    const run = runner({ 'npm run': 'exit 1' })
    expect((await provide({ fetch: async () => new Response(), run })).source).toBe('built')
    expect(await readFile(join(folder, addon), 'utf8')).toBe('addon')
  })

  test('a host that says no is not asked further', async () => {
    await provide({ fetch: async () => new Response(undefined, { status: 403 }) })
    expect(calls).not.toContain('npm run install')
  })

  test('asks for the wheel of another Python where the running one has none', async () => {
    let attempts = 0
    const run = runner()
    await provide({
      run: async (command, args, options) => {
        if (args.includes('download') && attempts++ === 0) throw new ProgramError('No matching distribution')
        return run(command, args, options)
      },
    })
    expect(calls.find(call => call.includes('pip download'))).toMatch(
      /--python-version 3\.12 tensorflow-cpu==2\.21\.\*$/,
    )
  })

  test('removes what killed processes left, and gives back the folder that one of them was replacing', async () => {
    await provide()
    await rename(folder, join(parent, '.native.pmoe-old'))
    await mkdir(join(parent, '.native.pmoe-new/node_modules'), { recursive: true })
    expect((await provide()).already).toBe(true)
    expect(await readdir(parent)).toEqual(['native'])
  })

  test('removes the old one that a killed process had replaced', async () => {
    await provide()
    await mkdir(join(parent, '.native.pmoe-old/node_modules'), { recursive: true })
    expect((await provide()).already).toBe(true)
    expect(await readdir(parent)).toEqual(['native'])
  })

  test('a second process is refused while the first provides it, naming it; what is there can be used', async () => {
    const lock = await lockFile(folder, 'provideNative')
    await expect(provide()).rejects.toThrow(
      `provideNative: ${folder} must not be in use, got process ${process.pid}`,
    )
    expect(calls).toEqual([])
    await lock.release()
    await provide()
    const again = await lockFile(folder, 'provideNative')
    expect((await provide()).already).toBe(true)
    await expect(provide({ force: true })).rejects.toThrow('must not be in use')
    await again.release()
  })

  test.each([
    ['without native.json', ['thesis.txt']],
    ['beside what pmoe native put there', ['native.json', 'node_modules', 'thesis.txt']],
    ['that another npm project is', ['node_modules', 'package.json']],
  ])('a folder with files of others %s is left as it is', async (_, names) => {
    await mkdir(folder)
    for (const name of names) await writeFile(join(folder, name), 'precious')
    const got = names.includes('native.json') ? 'thesis.txt' : names.join(', ')
    for (const force of [false, true]) {
      await expect(provide({ force })).rejects.toThrow(
        `provideNative: ${folder} must be new, empty or what pmoe native put there, got a folder with ${got}`,
      )
    }
    expect((await readdir(folder)).sort()).toEqual(names)
    expect(calls).toEqual([])
  })
})

describe('a failure leaves nothing half-installed', () => {
  const failures: [name: string, broken: Record<string, string>, message: string][] = [
    [
      'no npm',
      { npm: 'spawn npm ENOENT' },
      'npm must fetch the packages, got: spawn npm ENOENT (is the npm registry within reach?)',
    ],
    ['no tar', { tar: 'spawn tar ENOENT' }, 'tar must unpack the package, got: spawn tar ENOENT'],
    [
      'no packages',
      { 'npm install': 'npm ended with 1: E404' },
      'npm must fetch the packages, got: npm ended with 1: E404',
    ],
    [
      'no compiler',
      { 'c++': 'no', 'g++': 'no', clang: 'no' },
      'a C++ compiler must be installed, got none of c++, g++, clang++ (on Debian: apt install g++)',
    ],
    [
      'no pip',
      { 'python3 -m pip --version': 'No module named pip' },
      'python3 with pip must be installed, got: No module named pip (on Debian: apt install python3-pip)',
    ],
    [
      'no wheel',
      { 'python3 -m pip download': 'No matching distribution' },
      'pip must download tensorflow-cpu==2.21.*, got: No matching distribution',
    ],
    ['a broken wheel', { 'python3 -c': 'BadZipFile' }, 'python3 must unpack the wheel, got: BadZipFile'],
    ['code that does not compile', { 'c++ -std': 'error: x' }, 'c++ must compile the addon, got: error: x'],
    [
      'an addon that does not load',
      { 'node --import': 'undefined symbol' },
      'the addon must load and compute, got: undefined symbol',
    ],
  ]
  for (const [name, broken, message] of failures) {
    test(name, async () => {
      await expect(provide({ run: runner(broken) })).rejects.toThrow(`provideNative: ${message}`)
      expect(await readdir(parent)).toEqual([])
    })
  }

  test('too little disk space, in GB, before anything is fetched', async () => {
    await expect(provide({ freeBytes: async () => 1.26e9 })).rejects.toThrow(
      `provideNative: free disk space must be at least 2.0 GB, got 1.3 GB (${parent})`,
    )
    expect(calls).toEqual([])
  })

  test('a wrong product, and pip without a wheel', async () => {
    const wrong = (start: string, printed: string): Run => {
      const run = runner()
      return async (command, args, options) =>
        [basename(command), ...args].join(' ').startsWith(start) ? printed : run(command, args, options)
    }
    const product = trialReport({ product: [1, 2, 3, 4] })
    await expect(provide({ run: wrong('node --import', product) })).rejects.toThrow(
      'provideNative: the addon must compute 19,22,43,50,4,4,4,4 in its trial, got 1,2,3,4,4,4,4,4',
    )
    await expect(provide({ run: wrong('node --import', 'Killed\n') })).rejects.toThrow(
      "provideNative: the addon's trial must end with its report, got: Killed",
    )
    const nothing: Run = async (command, args, options) => {
      if (!args.includes('download')) return runner()(command, args, options)
      await mkdir(argument(args, '--dest'))
      return ''
    }
    await expect(provide({ run: nothing })).rejects.toThrow(
      'provideNative: pip must download a wheel of tensorflow-cpu',
    )
  })

  test('the old one stays when a new one fails', async () => {
    await provide()
    await expect(provide({ force: true, run: runner({ 'node --import': 'broken' }) })).rejects.toThrow(
      'got: broken',
    )
    expect(await readdir(parent)).toEqual(['native'])
    expect((await provide()).already).toBe(true)
  })

  test('a stop at any stage leaves what was there', async () => {
    await provide()
    const count = calls.length
    for (let last = 1; last <= count; last++) {
      const stopped = new AbortController()
      calls = []
      const run = runner()
      const stopping: Run = async (command, args, options) => {
        const result = await run(command, args, options)
        if (calls.length === last) stopped.abort(new Error('stopped'))
        return result
      }
      await expect(provide({ force: true, run: stopping, signal: stopped.signal })).rejects.toThrow('stopped')
      expect(await readdir(parent)).toEqual(['native'])
    }
  })
})

describe('pmoe native', () => {
  const native = (args: string[], env: Record<string, string> = {}) => {
    const code = `import('${root}/scripts/commands/native.ts').then(m => m.nativeCommand().parseAsync(${JSON.stringify(args)}, { from: 'user' }))`
    return startTypeScript(['-e', code], { cwd: root, env }).finished
  }

  async function program(name: string, script: string): Promise<void> {
    await mkdir(join(parent, 'bin'), { recursive: true })
    await writeFile(join(parent, 'bin', name), `#!/bin/sh\n${script}\n`)
    await chmod(join(parent, 'bin', name), 0o755)
  }

  test('without npm: one line, no stack, exit 1', async () => {
    expect(await native(['--dir', folder], { PATH: join(parent, 'bin') })).toMatchObject({
      code: 1,
      err: [
        'fetching @tensorflow/tfjs-node 4.22.0',
        'pmoe native: provideNative: npm must fetch the packages, got: npm cannot be run: spawn npm ENOENT (is the npm registry within reach?)',
        '',
      ].join('\n'),
    })
    expect(await readdir(parent)).toEqual([])
  })

  test('Ctrl-C ends the programs it runs and leaves nothing', async () => {
    // It presses Ctrl-C itself. The command ends only when the sleeper, which holds its output open, has ended too.
    await program('npm', `echo $$ > ${join(parent, 'started')}; kill -INT $PPID; /bin/sleep 600 & wait`)
    const { code, err } = await native(['--dir', folder], { PATH: join(parent, 'bin') })
    expect(code).toBe(1)
    expect(err).toContain('pmoe native: stopped; nothing was left behind')
    expect((await readdir(parent)).sort()).toEqual(['bin', 'started'])
  })

  test('what is there is found quickly, exit 0', async () => {
    await provide()
    const { out } = await native(['--dir', folder])
    expect(out).toBe(`TensorFlow 2.21.0 (built) is there already: ${folder}\n`)
  })
})
