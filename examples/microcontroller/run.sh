#!/bin/sh
# A network as C for a microcontroller: ./run.sh NETWORK [FOLDER]
#
# Writes the C, runs its self-test on this machine, and, where an ARM compiler and QEMU are installed, a receiver's loop
# on an emulated Cortex-M4.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
network=${1:?usage: ./run.sh NETWORK [FOLDER]}
out=${2:-$here/out}

bacalhaunet compile "$network" -o "$out" --name modulation --vectors 3
cd "$out"

echo "== self-test on this machine"
cc -std=c99 -Wall -Wextra -O2 modulation.c modulation_selftest.c -o selftest
./selftest

echo "== receiver's loop on this machine"
cc -std=c99 -Wall -Wextra -O2 -I. "$here/firmware.c" modulation.c -o firmware
./firmware

if ! command -v arm-none-eabi-gcc >/dev/null || ! command -v qemu-system-arm >/dev/null; then
    echo "== no Cortex-M4: needs arm-none-eabi-gcc and qemu-system-arm"
    exit 0
fi
echo "== receiver's loop on a Cortex-M4 (QEMU, board mps2-an386)"
arm-none-eabi-gcc -std=c99 -mcpu=cortex-m4 -mthumb -mfloat-abi=hard -mfpu=fpv4-sp-d16 -O2 --specs=rdimon.specs \
    -nostartfiles -T "$here/board.ld" -I. "$here/startup.c" "$here/firmware.c" modulation.c -o firmware.elf
arm-none-eabi-size firmware.elf
qemu-system-arm -M mps2-an386 -nographic -monitor none -serial none \
    -semihosting-config enable=on,target=native -kernel firmware.elf
