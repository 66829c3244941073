# SPDX-License-Identifier: MIT
# Plots of bench/contrast: gnuplot -e "out='FOLDER'" contrast.gnuplot reads linux.csv there and writes exits.svg and time.svg.
set datafile separator ","
set terminal svg size 860,420 font "sans-serif,13" background "white"
set style data histogram
set style histogram clustered gap 1
set style fill solid 0.85 noborder
set boxwidth 0.9
set grid ytics lc rgb "#dddddd"
set border 3 lc rgb "#888888"
set tics nomirror
set key top right
csv = out."/linux.csv"
# One load's column, by the variants' names.
pick(load) = sprintf("< awk -F, 'NR == 1 || $2 == \"%s\"' '%s'", load, csv)

set output out."/exits.svg"
set title "KVM exits per request of 4 KiB (stock Linux, log scale)"
set logscale y 10
set ylabel "exits / request"
plot pick("read-4k") using (column("exits") / column("requests")):xtic(1) title "read, depth 1" lc rgb "#4477aa", \
     pick("write-4k") using (column("exits") / column("requests")) title "write, depth 1" lc rgb "#66ccee", \
     pick("read-4k-deep") using (column("exits") / column("requests")) title "read, depth 32" lc rgb "#ccbb44"

set output out."/time.svg"
set title "Time, as a multiple of virtio-blk's in the same round (log scale)"
set ylabel "time / virtio-blk's"
plot pick("read-4k") using "ratio":xtic(1) title "4 KiB read, depth 1" lc rgb "#4477aa", \
     pick("read-128k") using "ratio" title "128 KiB read, depth 1" lc rgb "#228833", \
     pick("read-4k-deep") using "ratio" title "4 KiB read, depth 32" lc rgb "#ccbb44"
