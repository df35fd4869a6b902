/* MPI's all-reduce of floats; started by mpirun. Argument: floats to sum. Rank 0 talks like ExchangeRank.cs, for all ranks together. */
#include <math.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int rank, ranks, elements;

/* Bell-shaped with a deviation of 0.01, as gradients are. */
static void fill(float *values, int of_rank)
{
    unsigned long long state = of_rank + 1;
    for (int i = 0; i < elements; i++) {
        double sum = -2;
        for (int k = 0; k < 4; k++) {
            state = state * 6364136223846793005ULL + 1442695040888963407ULL;
            sum += (double)(state >> 11) / (1ULL << 53);
        }
        values[i] = (float)(sum * 0.0173);
    }
}

/* Rank 0 reads the order. The others wait without a processor, which MPI itself would not do: another side may be measured meanwhile. */
static int next_order(void)
{
    int order = -1;
    if (rank == 0) {
        char line[64];
        if (fgets(line, sizeof line, stdin)) order = strncmp(line, "check", 5) == 0 ? 0 : atoi(line + 5);
        for (int other = 1; other < ranks; other++) MPI_Send(&order, 1, MPI_INT, other, 1, MPI_COMM_WORLD);
        return order;
    }
    for (int there = 0; !there; usleep(1000)) MPI_Iprobe(0, 1, MPI_COMM_WORLD, &there, MPI_STATUS_IGNORE);
    MPI_Recv(&order, 1, MPI_INT, 0, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    return order;
}

int main(int count, char **arguments)
{
    MPI_Init(&count, &arguments);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    elements = atoi(arguments[1]);
    float *own = malloc(sizeof(float) * elements), *sum = malloc(sizeof(float) * elements), *other = malloc(sizeof(float) * elements);
    double *direct = calloc(elements, sizeof(double));
    fill(own, rank);
    memset(sum, 0, sizeof(float) * elements);
    for (int order; (order = next_order()) >= 0;) {
        MPI_Barrier(MPI_COMM_WORLD);
        double start = MPI_Wtime();
        for (int i = 0; i < (order ? order : 1); i++) MPI_Allreduce(own, sum, elements, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
        double spent = (MPI_Wtime() - start) * 1000 / (order ? order : 1), slowest;
        if (order) {
            MPI_Reduce(&spent, &slowest, 1, MPI_DOUBLE, MPI_MAX, 0, MPI_COMM_WORLD);
            if (rank == 0) printf("%.6f\n", slowest);
        } else {
            memset(direct, 0, sizeof(double) * elements);
            for (int r = 0; r < ranks; r++) {
                fill(other, r);
                for (int i = 0; i < elements; i++) direct[i] += other[i];
            }
            int right = 1, all_right;
            for (int i = 0; i < elements; i++) right &= fabs(direct[i] - sum[i]) < 1e-6;
            MPI_Reduce(&right, &all_right, 1, MPI_INT, MPI_MIN, 0, MPI_COMM_WORLD);
            if (rank == 0) puts(all_right ? "right" : "wrong");
        }
        fflush(stdout);
    }
    MPI_Finalize();
    return 0;
}
