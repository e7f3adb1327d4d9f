import { readFileSync } from 'node:fs'

const VECTOR_FLAGS =
  /^(sse4_2|avx|avx2|fma|avx512f|avx512_vnni|avx512_bf16|avx_vnni|amx_bf16|amx_tile|asimd|sve|bf16)$/
const BFLOAT16_FLAGS = /^(avx512_bf16|amx_bf16|bf16)$/

/** The vector instructions of this processor, by the names of Linux; empty where there is no /proc/cpuinfo. */
export function vectorFlags(cpuInfo: string = readCpuInfo()): string[] {
  const line = /^(?:flags|Features)\s*:(.*)$/m.exec(cpuInfo)?.[1] ?? ''
  return line.split(/\s+/).filter(flag => VECTOR_FLAGS.test(flag))
}

/** Whether a processor with these flags multiplies bfloat16 in hardware. */
export function multipliesBfloat16(flags: readonly string[] = vectorFlags()): boolean {
  return flags.some(flag => BFLOAT16_FLAGS.test(flag))
}

function readCpuInfo(): string {
  try {
    return readFileSync('/proc/cpuinfo', 'utf8')
  } catch {
    return ''
  }
}
