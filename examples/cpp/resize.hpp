// Resizing with the triangle filter: averages where pixels become fewer, interpolates where they become more.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "network.hpp"

struct Shares {
    int first;  // of the old places that a new one is made of
    std::vector<double> shares;
};

inline std::vector<Shares> shares_of(int before, int after) {
    const double step = double(before) / after, reach = std::max(step, 1.0);
    std::vector<Shares> all;
    for (int place = 0; place < after; place++) {
        const double middle = (place + 0.5) * step;
        const int first = std::max(0, int(middle - reach + 0.5)), end = std::min(before, int(middle + reach + 0.5));
        Shares one{first, {}};
        double sum = 0;
        for (int i = first; i < end; i++) {
            one.shares.push_back(std::max(0.0, 1 - std::abs(i + 0.5 - middle) / reach));
            sum += one.shares.back();
        }
        for (double& share : one.shares) share /= sum;
        all.push_back(one);
    }
    return all;
}

// Return numbers at another size.
inline Map resized(const Map& map, Size size) {
    if (map.size == size) return map;
    const auto across = shares_of(map.size[1], size[1]), down = shares_of(map.size[0], size[0]);
    Map narrow{{map.size[0], size[1]}, std::vector<float>(size_t(map.size[0]) * size[1])};
    for (int y = 0; y < map.size[0]; y++)
        for (int x = 0; x < size[1]; x++) {
            double sum = 0;
            for (size_t i = 0; i < across[x].shares.size(); i++)
                sum += across[x].shares[i] * map.values[size_t(y) * map.size[1] + across[x].first + i];
            narrow.values[size_t(y) * size[1] + x] = float(sum);
        }
    Map out{size, std::vector<float>(size_t(size[0]) * size[1])};
    for (int y = 0; y < size[0]; y++)
        for (int x = 0; x < size[1]; x++) {
            double sum = 0;
            for (size_t i = 0; i < down[y].shares.size(); i++)
                sum += down[y].shares[i] * narrow.values[(down[y].first + i) * size[1] + x];
            out.values[size_t(y) * size[1] + x] = float(sum);
        }
    return out;
}
