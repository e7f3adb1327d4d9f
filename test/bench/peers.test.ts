import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { peerCommand, peerPython, webPeerCommand } from '../../bench/peers.js'

it('finds the interpreter of an environment', () => {
  const folder = mkdtempSync(join(tmpdir(), 'peers-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const message = `peerPython: --peers must be a folder made by bench/peers/setup.sh, got ${folder} (no ${folder}/bin/python)`
  expect(() => peerPython(folder)).toThrow(new RangeError(message))
  mkdirSync(join(folder, 'bin'))
  writeFileSync(join(folder, 'bin', 'python'), '')
  expect(peerPython(folder)).toBe(join(folder, 'bin', 'python'))
})

it('tells a peer everything that our own job says', () => {
  const {
    who,
    program,
    arguments: given,
  } = peerCommand('torch wrn-pmoe bf16', 'python', 'torch', {
    network: 'wrn-pmoe',
    precision: 'bf16',
    size: 64,
    batch: 16,
    classes: 4,
    widen: 10,
    experts: 8,
    keep: 2,
    patch: 4,
    kernel: 3,
    warmUp: 2,
    rounds: 7,
  })
  const [script, ...flags] = given
  expect([who, program]).toEqual(['torch wrn-pmoe bf16', 'python'])
  expect(script).toMatch(/bench\/peers\/torch_wrn_pmoe\.py$/)
  expect(flags.join(' ')).toBe(
    'pmoe --size 64 --batch 16 --classes 4 --widen 10 --experts 8 --keep 2 --patch 4 --kernel 3 --warm-up 2 --steps 7 --bf16',
  )
})

it('runs onnxruntime-web in a process of its own, from the folder of the peers', () => {
  const job = { path: 'a.onnx', batch: 8, size: 32, warmUp: 200, runs: 20, seconds: 3 }
  const { who, program, arguments: args, environment } = webPeerCommand('web', '/peers', job)
  expect({ who, program, environment }).toEqual({ who: 'web', program: process.execPath, environment: {} })
  expect(args[0]).toMatch(/bench\/peers\/onnxruntime_web\.mjs$/)
  expect(existsSync(args[0] as string)).toBe(true)
  expect(args.slice(1)).toEqual(['/peers', 'a.onnx', '8', '32', '32', '200', '20', '3'])
})
